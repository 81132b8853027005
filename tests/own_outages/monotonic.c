/* libfaketime takes moments of the monotonic clock for ones of the clock that it fakes. Loaded
   before it, this hands such waits to the C library: without, `time.sleep` fails, and a thread
   that waits for Python's interpreter lock does so in a busy loop. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#define OF_THE_C_LIBRARY(name) ((typeof(&name))dlsym(dlopen("libc.so.6", RTLD_LAZY), #name))

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    static typeof(&pthread_cond_timedwait) real;
    if (!real)
        real = OF_THE_C_LIBRARY(pthread_cond_timedwait);
    return real(condition, mutex, until);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                    struct timespec *remaining)
{
    static typeof(&clock_nanosleep) real;
    if (!real)
        real = OF_THE_C_LIBRARY(clock_nanosleep);
    return real(clock, flags, time, remaining);
}
