/* Shifts the wall clock of a process that has this in LD_PRELOAD, and of all that it starts.
 *
 * By how many nanoseconds is in the file that TEST_CLOCK_OFFSET names: eight bytes, which a test may change at any
 * time. All other clocks are left alone. The time itself comes from the kernel, not from the function that stands
 * behind ours: so there is nothing to look up, and it works as early as in another library's constructor. A process
 * may be given that variable only after it was forked: so it is asked for until it is there.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static const int64_t zero;
static const int64_t *offset = &zero;

static void map_offset(void)
{
    const char *path = getenv("TEST_CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        offset = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return failed;
    if (offset == &zero)
        map_offset();
    int64_t at = now->tv_sec * SECOND + now->tv_nsec + __atomic_load_n(offset, __ATOMIC_RELAXED);
    now->tv_sec = at / SECOND;
    now->tv_nsec = at % SECOND;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}
