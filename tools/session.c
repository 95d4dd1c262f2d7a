/* Sessions: context, signals, error lines. */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "text.h"

/* -- interruption ------------------------------------------------------------------------------ */

static dfq_context *volatile running;
static volatile sig_atomic_t interrupted;

/* The first signal stops at the next point from which the job can go on, the second at once. */
static void on_signal(int signal)
{
    (void)signal;
    if (interrupted) _exit(CODE_INTERRUPTED);
    interrupted = 1;
    if (running) dfq_context_cancel(running);
}

static void catch_signals(void)
{
    static const int stop[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction a;
    memset(&a, 0, sizeof a);
    sigemptyset(&a.sa_mask);
    a.sa_handler = on_signal;
    a.sa_flags = SA_RESTART;
    for (size_t i = 0; i < sizeof stop / sizeof *stop; i++) {
        struct sigaction old; /* what was ignored on purpose (nohup) stays so */
        if (sigaction(stop[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(stop[i], &a, NULL);
    }
    /* SIGXFSZ and SIGPIPE are ignored: write() then fails with an error instead. */
    a.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &a, NULL);
    sigaction(SIGPIPE, &a, NULL);
}

int session_interrupted(void)
{
    return interrupted != 0;
}

/* -- the library's callbacks ------------------------------------------------------------------- */

static void on_log(int32_t level, const char *line, void *user)
{
    struct session *s = user;
    if (s->mute || (level > DFQ_LOG_WARNING)) return;
    progress_clear(&s->progress);
    fprintf(stderr, "dfq %s: %s%s\n", verb_names[s->o->verb],
            level == DFQ_LOG_WARNING ? "warning: " : "", line);
}

static int32_t on_progress(const dfq_progress *p, void *user)
{
    struct session *s = user;
    progress_show(&s->progress, p->stage, p->done, p->total, p->loss);
    return (s->stop_between && p->done == p->total) ||
           (s->checkpoint_at > 0 && text_now() >= s->checkpoint_at);
}

/* -- life -------------------------------------------------------------------------------------- */

int session_open(struct session *s, const struct options *o)
{
    dfq_context_options c;
    memset(s, 0, sizeof *s);
    s->o = o;
    s->start = text_now();
    progress_init(&s->progress, o->quiet);
    catch_signals();
    dfq_context_options_init(&c, sizeof c);
    c.threads = o->threads;
    c.log = on_log;
    c.progress = on_progress;
    c.log_user = c.progress_user = s;
    dfq_status status = dfq_context_create(&c, &s->ctx);
    if (status != DFQ_OK) {
        s->ctx = NULL;
        return session_error(s, CODE_FAILED, "the library cannot start: %s",
                             dfq_status_name(status));
    }
    running = s->ctx;
    return CODE_DONE;
}

void session_close(struct session *s)
{
    running = NULL;
    dfq_context_release(s->ctx);
    s->ctx = NULL;
}

/* -- lines ------------------------------------------------------------------------------------- */

static void line(struct session *s, const char *format, va_list args)
{
    char before[TEXT_SHORT];
    progress_clear(&s->progress);
    snprintf(before, sizeof before, "dfq %s: ", verb_names[s->o->verb]);
    text_line(before, format, args);
}

void session_say(struct session *s, const char *format, ...)
{
    va_list args;
    if (s->o->quiet) return;
    va_start(args, format);
    line(s, format, args);
    va_end(args);
}

int session_error(struct session *s, int code, const char *format, ...)
{
    va_list args;
    progress_end(&s->progress);
    va_start(args, format);
    line(s, format, args);
    va_end(args);
    return code;
}

static int code_of(dfq_status status, enum phase phase)
{
    switch (status) {
    case DFQ_E_INVALID:
    case DFQ_E_EXISTS:
        return CODE_USAGE;
    case DFQ_E_UNSUPPORTED:
    case DFQ_E_SHAPE:
    case DFQ_E_CORRUPT:
        return CODE_INPUT;
    case DFQ_E_NUMERIC:
        return phase == PHASE_READ ? CODE_INPUT : CODE_FAILED;
    case DFQ_E_IO:
        return phase == PHASE_WRITE ? CODE_OUTPUT : CODE_INPUT;
    case DFQ_E_INFEASIBLE:
        return CODE_INFEASIBLE;
    case DFQ_E_CANCELLED:
        return CODE_INTERRUPTED;
    default:
        return CODE_FAILED;
    }
}

/* Names the verb's options that lower its memory. */
static const char *memory_cure(enum verb verb)
{
    int batch = option_table[OPT_BATCH].verbs >> verb & 1;
    int images = option_table[OPT_IMAGES].verbs >> verb & 1;
    if (batch && images) return "; a smaller --batch or fewer --images need less";
    if (batch) return "; a smaller --batch needs less";
    return "; fewer --threads need less";
}

/* The library's "synth: ..." behind "dfq synth: " would say it twice. */
static const char *without_verb(const struct session *s, const char *text)
{
    const char *verb = verb_names[s->o->verb];
    size_t n = strlen(verb);
    return strncmp(text, verb, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

int session_fail(struct session *s, dfq_status status, enum phase phase)
{
    const char *text = dfq_context_get_error(s->ctx), *cure = "";
    int code = code_of(status, phase);
    s->diverged = s->diverged || (status == DFQ_E_NUMERIC && phase == PHASE_WORK);
    if (status == DFQ_E_NOMEM) {
        cure = memory_cure(s->o->verb);
        if (!strstr(text, "memory")) text = "out of memory";
    } else if (status == DFQ_E_CANCELLED) {
        text = "interrupted";
    } else if (!*text) {
        text = dfq_status_name(status);
    }
    if (code == CODE_OUTPUT) cure = "; make room or choose another place, then run it again";
    return session_error(s, code, "%s%s", without_verb(s, text), cure);
}

/* What getrusage() tells begins with the memory of the process that started this one. */
double session_peak(void)
{
    char line[256];
    long long kb = 0;
    struct rusage u;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld", &kb) == 1) break;
    if (f) fclose(f);
    if (kb > 0) return (double)kb * 1024;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss * 1024 : 0;
}

static int stdout_closed;

void session_occupy(void)
{
    int way = fcntl(STDOUT_FILENO, F_GETFL);
    stdout_closed = way < 0 || (way & O_ACCMODE) == O_RDONLY;
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
            _exit(CODE_OUTPUT); /* nowhere to say so */
}

/* True if the reader of stdout has closed the pipe, as "head" does. */
static int reader_has_gone(void)
{
    struct pollfd p = {STDOUT_FILENO, POLLOUT, 0};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

int session_results(const char *verb, int code)
{
    if (stdout_closed) errno = EBADF;
    if (!stdout_closed && fflush(stdout) == 0 && !ferror(stdout)) return code;
    if (!stdout_closed && reader_has_gone()) return CODE_OUTPUT; /* it knows, and wants no line */
    fprintf(stderr, "dfq%s%s: cannot write the results to stdout: %s; %s\n", verb ? " " : "",
            verb ? verb : "", strerror(errno),
            stdout_closed ? "open it, to /dev/null if they are not wanted" : "they are lost");
    return CODE_OUTPUT;
}
