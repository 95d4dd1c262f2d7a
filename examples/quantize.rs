//! quantize IN.safetensors OUT.safetensors [IMAGES STEPS]: libdfq from Rust without a crate. Handles
//! give themselves back, failures are Results.
//!
//! rustc quantize.rs -L DIRECTORY_OF_LIBDFQ -l dfq
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_void};
use std::ptr::{null, null_mut};

/// Every handle is an opaque pointer.
type Raw = *mut c_void;

/// The first fields of the structs in the headers are enough: each struct tells its size.
#[repr(C)]
#[derive(Default)]
struct SynthesizerOptions {
    struct_size: u32,
    kind: i32,
    images: i64,
    batch: i64,
    iterations: i64,
}

#[repr(C)]
#[derive(Default)]
struct TunerOptions {
    struct_size: u32,
    optimizer: i32,
    steps: i64,
}

extern "C" {
    fn dfq_context_create(options: *const c_void, out: *mut Raw) -> i32;
    fn dfq_context_get_error(context: Raw) -> *const c_char;
    fn dfq_context_release(context: Raw);
    fn dfq_graph_load(context: Raw, path: *const c_char, arch: *const c_char, out: *mut Raw) -> i32;
    fn dfq_graph_quantize(g: Raw, images: Raw, options: *const c_void, out: *mut Raw) -> i32;
    fn dfq_graph_save(g: Raw, path: *const c_char, half: i32) -> i32;
    fn dfq_graph_release(g: Raw);
    fn dfq_synthesizer_options_init(options: *mut SynthesizerOptions, size: usize, kind: i32,
                                    mode: i32, g: Raw);
    fn dfq_synthesizer_create(g: Raw, options: *const SynthesizerOptions, out: *mut Raw) -> i32;
    fn dfq_synthesizer_run(synthesizer: Raw) -> i32;
    fn dfq_synthesizer_get_images(synthesizer: Raw, out: *mut Raw) -> i32;
    fn dfq_synthesizer_release(synthesizer: Raw);
    fn dfq_tensor_get_dims(tensor: Raw) -> *const i64;
    fn dfq_tensor_release(tensor: Raw);
    fn dfq_tuner_options_init(options: *mut TunerOptions, size: usize, recipe: i32, graph: Raw,
                              steps: i64);
    fn dfq_tuner_create(
        teacher: Raw, student: Raw, images: Raw, options: *const TunerOptions, out: *mut Raw,
    ) -> i32;
    fn dfq_tuner_run(tuner: Raw) -> i32;
    fn dfq_tuner_release(tuner: Raw);
}

struct Handle(Raw, unsafe extern "C" fn(Raw));

impl Drop for Handle {
    fn drop(&mut self) {
        unsafe { self.1(self.0) }
    }
}

struct Dfq {
    context: Handle,
}

impl Dfq {
    fn new() -> Result<Dfq, String> {
        let mut raw = null_mut();
        match unsafe { dfq_context_create(null(), &mut raw) } {
            0 => Ok(Dfq { context: Handle(raw, dfq_context_release) }),
            status => Err(format!("no context, status {}", status)),
        }
    }

    fn check(&self, status: i32) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        let text = unsafe { CStr::from_ptr(dfq_context_get_error(self.context.0)) };
        Err(text.to_string_lossy().into_owned())
    }

    /// Calls what writes a handle through its last argument, and keeps the handle.
    fn make(
        &self, release: unsafe extern "C" fn(Raw), call: impl FnOnce(*mut Raw) -> i32,
    ) -> Result<Handle, String> {
        let mut raw = null_mut();
        self.check(call(&mut raw))?;
        Ok(Handle(raw, release))
    }
}

fn quantize(source: &str, out: &str, counts: &[i64]) -> Result<i64, String> {
    let source = CString::new(source).map_err(|e| e.to_string())?;
    let out = CString::new(out).map_err(|e| e.to_string())?;
    let dfq = Dfq::new()?;
    let mut images_how = SynthesizerOptions::default();
    let mut tune_how = TunerOptions::default();
    unsafe {
        dfq_synthesizer_options_init(&mut images_how, std::mem::size_of::<SynthesizerOptions>(),
                                     -1, 1, null_mut()); // the network's kind, improved
        dfq_tuner_options_init(&mut tune_how, std::mem::size_of::<TunerOptions>(), 0, null_mut(), 0);
        if let [images, steps] = *counts {
            images_how.images = images;
            images_how.iterations = steps;
            tune_how.steps = steps;
        }
        let net = dfq.make(dfq_graph_release, |p| {
            dfq_graph_load(dfq.context.0, source.as_ptr(), null(), p)
        })?;
        let synthesizer = dfq.make(dfq_synthesizer_release, |p| {
            dfq_synthesizer_create(net.0, &images_how, p)
        })?;
        dfq.check(dfq_synthesizer_run(synthesizer.0))?;
        let images = dfq.make(dfq_tensor_release, |p| dfq_synthesizer_get_images(synthesizer.0, p))?;
        let low = dfq.make(dfq_graph_release, |p| dfq_graph_quantize(net.0, images.0, null(), p))?;
        let tuner = dfq.make(dfq_tuner_release, |p| {
            dfq_tuner_create(net.0, low.0, images.0, &tune_how, p)
        })?;
        dfq.check(dfq_tuner_run(tuner.0))?;
        dfq.check(dfq_graph_save(low.0, out.as_ptr(), 0))?;
        Ok(*dfq_tensor_get_dims(images.0))
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let counts: Result<Vec<i64>, _> = args.iter().skip(3).map(|s| s.parse()).collect();
    if (args.len() != 3 && args.len() != 5) || counts.is_err() {
        eprintln!("usage: quantize IN.safetensors OUT.safetensors [IMAGES STEPS]");
        std::process::exit(2);
    }
    match quantize(&args[1], &args[2], &counts.unwrap()) {
        Ok(n) => println!("{}: 4-bit, by {} images made from the network alone", args[2], n),
        Err(text) => {
            eprintln!("quantize: {}", text);
            std::process::exit(1);
        }
    }
}
