//! infer MODEL.safetensors PICTURE...: tells the classes of pictures, from Rust without a crate. The
//! runtime gives itself back, failures are Results.
//!
//! rustc infer.rs -L DIRECTORY_OF_LIBDFQ -l dfq
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_void};
use std::ptr::{null, null_mut};

/// Every handle is an opaque pointer.
type Raw = *mut c_void;

/// The first fields of the structs in the headers are enough: each struct tells its size.
#[repr(C)]
#[derive(Default)]
struct RuntimeInfo {
    struct_size: u32,
    quantized: i32,
    batch: i64,
    image: i64,
    channels: i64,
    classes: i64,
}

#[repr(C)]
struct RuntimeInput {
    struct_size: u32,
    pixels: i32,
    data: *const c_void,
    n: i64,
    height: i64,
    width: i64,
    channels: i64,
}

extern "C" {
    fn dfq_context_create(options: *const c_void, out: *mut Raw) -> i32;
    fn dfq_context_get_error(context: Raw) -> *const c_char;
    fn dfq_context_release(context: Raw);
    fn dfq_runtime_load(
        context: Raw, path: *const c_char, load: *const c_void, options: *const c_void,
        out: *mut Raw,
    ) -> i32;
    fn dfq_runtime_release(runtime: Raw);
    fn dfq_runtime_get_info(runtime: Raw, info: *mut RuntimeInfo) -> i32;
    fn dfq_runtime_input_init(input: *mut RuntimeInput, size: usize, runtime: Raw);
    fn dfq_runtime_read_picture(
        runtime: Raw, path: *const c_char, pixels: *mut u8, capacity: usize,
    ) -> i32;
    fn dfq_runtime_run(
        runtime: Raw, input: *const RuntimeInput, logits: *mut f32, capacity: i64,
    ) -> i32;
}

/// A network, and memory for one image and its logits. It may move to another thread, but serves one
/// at a time.
struct Runtime {
    context: Raw,
    handle: Raw,
    pixels: Vec<u8>,
    logits: Vec<f32>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        unsafe {
            dfq_runtime_release(self.handle);
            dfq_context_release(self.context);
        }
    }
}

impl Runtime {
    fn load(path: &str) -> Result<Runtime, String> {
        let path = CString::new(path).map_err(|e| e.to_string())?;
        let mut net = Runtime {
            context: null_mut(),
            handle: null_mut(),
            pixels: Vec::new(),
            logits: Vec::new(),
        };
        let mut info = RuntimeInfo::default();
        info.struct_size = std::mem::size_of::<RuntimeInfo>() as u32;
        unsafe {
            if dfq_context_create(null(), &mut net.context) != 0 {
                return Err("no context".to_string());
            }
            let status =
                dfq_runtime_load(net.context, path.as_ptr(), null(), null(), &mut net.handle);
            net.check(status)?;
            net.check(dfq_runtime_get_info(net.handle, &mut info))?;
        }
        net.pixels.resize((info.image * info.image * info.channels) as usize, 0);
        net.logits.resize(info.classes as usize, 0.0);
        Ok(net)
    }

    fn check(&self, status: i32) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        let text = unsafe { CStr::from_ptr(dfq_context_get_error(self.context)) };
        Err(text.to_string_lossy().into_owned())
    }

    /// The logits of a picture file.
    fn run(&mut self, picture: &str) -> Result<&[f32], String> {
        let path = CString::new(picture).map_err(|e| e.to_string())?;
        let mut input: RuntimeInput = unsafe { std::mem::zeroed() };
        unsafe {
            let (pixels, size) = (self.pixels.as_mut_ptr(), self.pixels.len());
            self.check(dfq_runtime_read_picture(self.handle, path.as_ptr(), pixels, size))?;
            let size = std::mem::size_of::<RuntimeInput>();
            dfq_runtime_input_init(&mut input, size, self.handle);
            input.data = self.pixels.as_ptr() as *const c_void;
            let (logits, n) = (self.logits.as_mut_ptr(), self.logits.len() as i64);
            self.check(dfq_runtime_run(self.handle, &input, logits, n))?;
        }
        Ok(&self.logits)
    }
}

fn classify(model: &str, pictures: &[String]) -> Result<(), String> {
    let mut net = Runtime::load(model)?;
    for picture in pictures {
        let logits = net.run(picture)?;
        let best = (0..logits.len()).fold(0, |b, c| if logits[c] > logits[b] { c } else { b });
        println!("{}: class {}", picture, best);
    }
    Ok(())
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.len() < 3 {
        eprintln!("usage: infer MODEL.safetensors PICTURE...");
        std::process::exit(2);
    }
    if let Err(text) = classify(&args[1], &args[2..]) {
        eprintln!("infer: {}", text);
        std::process::exit(1);
    }
}
