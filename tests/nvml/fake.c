/* NVIDIA's management library as a test would have it: `statements.h` says how that is written.
 *
 * Nothing is kept here but how often the library was initialized: there is nothing in which threads could get in
 * each other's way, and no lock that one could hold while it hangs. FAKE_NVML_CALLS may name a file, to which each
 * call adds a line `PID FUNCTION [CARD]`.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "statements.h"

#define MOST_INSTANCES 7
#define SYSTEM_LEVEL 50
#define NVLINK 2
#define NO_CARD "-"

#define FOR_EACH_ERROR(ERROR) \
    ERROR(UNINITIALIZED, 1) ERROR(INVALID_ARGUMENT, 2) ERROR(NOT_SUPPORTED, 3) ERROR(NO_PERMISSION, 4) \
    ERROR(ALREADY_INITIALIZED, 5) ERROR(NOT_FOUND, 6) ERROR(INSUFFICIENT_SIZE, 7) ERROR(INSUFFICIENT_POWER, 8) \
    ERROR(DRIVER_NOT_LOADED, 9) ERROR(TIMEOUT, 10) ERROR(IRQ_ISSUE, 11) ERROR(LIBRARY_NOT_FOUND, 12) \
    ERROR(FUNCTION_NOT_FOUND, 13) ERROR(CORRUPTED_INFOROM, 14) ERROR(GPU_IS_LOST, 15) ERROR(RESET_REQUIRED, 16) \
    ERROR(OPERATING_SYSTEM, 17) ERROR(LIB_RM_VERSION_MISMATCH, 18) ERROR(IN_USE, 19) ERROR(MEMORY, 20) \
    ERROR(NO_DATA, 21) ERROR(VGPU_ECC_NOT_SUPPORTED, 22) ERROR(INSUFFICIENT_RESOURCES, 23) \
    ERROR(FREQ_NOT_SUPPORTED, 24) ERROR(ARGUMENT_VERSION_MISMATCH, 25) ERROR(DEPRECATED, 26) ERROR(NOT_READY, 27) \
    ERROR(GPU_NOT_FOUND, 28) ERROR(INVALID_STATE, 29) ERROR(RESET_TYPE_NOT_SUPPORTED, 30) ERROR(UNKNOWN, 999)
#define NUMBERED(name, number) name = number,
#define NAMED(name, number) {#name, number},

enum result { SUCCESS, FOR_EACH_ERROR(NUMBERED) };
enum peer_status { PEER_OK = 0, PEER_NOT_SUPPORTED = 5 };

struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };
struct process { unsigned pid; unsigned long long memory; unsigned instance, compute_instance; };
struct pci { char legacy_bus_id[16]; unsigned domain, bus, device, device_id, subsystem_id; char bus_id[32]; };

/* What statements call it: `0`, or `0/1` for an instance. */
struct name { char text[32]; };
/* The number of a card and that of an instance, both plus one: 0 is no instance, and no handle is NULL. */
typedef const struct device *handle;

static handle handle_of(unsigned card, unsigned instance) { return (handle)((uintptr_t)card << 8 | instance); }
static unsigned card_of(handle device) { return (unsigned)((uintptr_t)device >> 8); }

static struct name name_of(handle device)
{
    struct name name;
    int card = (int)card_of(device) - 1, instance = (int)((uintptr_t)device & 0xff) - 1;
    snprintf(name.text, sizeof name.text, instance < 0 ? "%d" : "%d/%d", card, instance);
    return name;
}

/* What is said of them */

static bool find_pair(struct statement *said, const char *kind, handle one, handle other)
{
    struct name first = name_of(one), second = name_of(other);
    return find(said, kind, first.text, second.text) || find(said, kind, second.text, first.text);
}

static bool find_device(struct statement *said, handle device)
{
    struct name name = name_of(device);
    char *instance = strchr(name.text, '/');
    if (!instance)
        return find(said, "card", name.text, NULL);
    *instance++ = 0;
    return find(said, "mig", name.text, instance);
}

static const struct { const char *name; enum result value; } errors[] = {FOR_EACH_ERROR(NAMED)};
static const size_t count_of_errors = sizeof errors / sizeof *errors;

static enum result error_named(const char *name)
{
    for (size_t i = 0; i < count_of_errors; i++)
        if (!strcmp(errors[i].name, name))
            return errors[i].value;
    fprintf(stderr, "%s: no error is named '%s'\n", getenv("FAKE_NVML"), name);
    abort();
}

/* What all calls have in common */

static atomic_int initialized;

static void record(const char *function, const char *subject)
{
    const char *path = getenv("FAKE_NVML_CALLS"), *card = strcmp(subject, NO_CARD) ? subject : "";
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0)
        return;
    char line[128];
    int length = snprintf(line, sizeof line, "%d %s%s%s\n", getpid(), function, *card ? " " : "", card);
    if (write(file, line, (size_t)length) != length)
        abort();
    close(file);
}

static enum result failure(const char *function, const char *subject)
{
    struct statement said;
    for (double waited = 0; find(&said, "hang", subject, function) && waited < atof(said.word[3]); waited += 0.01)
        usleep(10000);
    return find(&said, "error", subject, function) ? error_named(said.word[3]) : SUCCESS;
}

static enum result enter(const char *function, const char *subject)
{
    record(function, subject);
    return initialized ? failure(function, subject) : UNINITIALIZED;
}

static enum result enter_device(const char *function, handle device, struct statement *said)
{
    enum result failed = enter(function, name_of(device).text);
    return failed ? failed : find_device(said, device) ? SUCCESS : GPU_IS_LOST;
}

/* Begins a function of a device: it goes on with what there is to say about that. */
#define ENTER(device) \
    struct statement said; \
    enum result failed = enter_device(__func__, device, &said); \
    if (failed) \
        return failed

static enum result answer(const char *text, char *buffer, unsigned size)
{
    return snprintf(buffer, size, "%s", text) < (int)size ? SUCCESS : INSUFFICIENT_SIZE;
}

/* The library as a whole */

static enum result initialize(const char *function)
{
    struct statement said;
    record(function, NO_CARD);
    enum result failed = failure(function, NO_CARD);
    if (!failed && access(getenv("FAKE_NVML") ? getenv("FAKE_NVML") : "", R_OK))
        failed = DRIVER_NOT_LOADED;
    if (!failed && find(&said, "init", NULL, NULL))
        failed = error_named(said.word[1]);
    initialized += !failed;
    return failed;
}

enum result nvmlInitWithFlags(unsigned flags) { (void)flags; return initialize(__func__); }
enum result nvmlInit_v2(void) { return initialize(__func__); }

enum result nvmlShutdown(void)
{
    enum result failed = enter(__func__, NO_CARD);
    initialized -= !failed;
    return failed;
}

const char *nvmlErrorString(enum result result)
{
    record(__func__, NO_CARD);
    for (size_t i = 0; i < count_of_errors; i++)
        if (errors[i].value == result)
            return errors[i].name;
    return result ? "UNKNOWN" : "SUCCESS";
}

enum result nvmlSystemGetDriverVersion(char *buffer, unsigned size)
{
    enum result failed = enter(__func__, NO_CARD);
    return failed ? failed : answer("570.00.00", buffer, size);
}

/* Cards, and instances of them */

enum result nvmlDeviceGetCount_v2(unsigned *count)
{
    struct statement said;
    enum result failed = enter(__func__, NO_CARD);
    FILE *file = failed ? NULL : statements();
    for (*count = 0; next(file, &said);)
        *count += !strcmp(said.word[0], "card");
    return failed;
}

enum result nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *device)
{
    struct statement said;
    *device = handle_of(index + 1, 0);
    enum result failed = enter(__func__, name_of(*device).text);
    return failed ? failed : find_device(&said, *device) ? SUCCESS : INVALID_ARGUMENT;
}

enum result nvmlDeviceGetMigDeviceHandleByIndex(handle device, unsigned index, handle *instance)
{
    struct statement said;
    *instance = handle_of(card_of(device), index + 1);
    enum result failed = enter(__func__, name_of(*instance).text);
    return failed ? failed : find_device(&said, *instance) ? SUCCESS : NOT_FOUND;
}

enum result nvmlDeviceGetMigMode(handle device, unsigned *current, unsigned *pending)
{
    ENTER(device);
    *current = *pending = 1;
    return find(&said, "mig", name_of(device).text, NULL) ? SUCCESS : NOT_SUPPORTED;
}

enum result nvmlDeviceGetMaxMigDeviceCount(handle device, unsigned *count)
{
    ENTER(device);
    *count = find(&said, "mig", name_of(device).text, NULL) ? MOST_INSTANCES : 0;
    return SUCCESS;
}

enum result nvmlDeviceGetPciInfo_v3(handle device, struct pci *pci)
{
    ENTER(device);
    const char *bus = field(&said, "bus");
    memset(pci, 0, sizeof *pci);
    if (sscanf(bus, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device) != 3)
        return NOT_SUPPORTED;
    snprintf(pci->legacy_bus_id, sizeof pci->legacy_bus_id, "%s", bus);
    snprintf(pci->bus_id, sizeof pci->bus_id, "%08X%s", pci->domain, strchr(bus, ':'));
    return SUCCESS;
}

enum result nvmlDeviceGetUUID(handle device, char *buffer, unsigned size)
{
    ENTER(device);
    return answer(field(&said, "uuid"), buffer, size);
}

enum result nvmlDeviceGetName(handle device, char *buffer, unsigned size)
{
    ENTER(device);
    failed = answer(field(&said, "name"), buffer, size);
    for (char *at = buffer; (at = strchr(at, '_'));)
        *at = ' ';
    return failed;
}

/* What is used of them */

enum result nvmlDeviceGetMemoryInfo(handle device, struct memory *memory)
{
    ENTER(device);
    unsigned long long total = bytes(&said, "total"), used = bytes(&said, "used");
    *memory = (struct memory){.total = total, .free = total - used, .used = used};
    return SUCCESS;
}

enum result nvmlDeviceGetMemoryInfo_v2(handle device, struct memory_v2 *memory)
{
    ENTER(device);
    unsigned long long total = bytes(&said, "total"), used = bytes(&said, "used");
    unsigned version = sizeof *memory | 2u << 24;
    if (memory->version != version)
        return ARGUMENT_VERSION_MISMATCH;
    *memory = (struct memory_v2){.version = version, .total = total, .free = total - used, .used = used};
    return SUCCESS;
}

static struct process process_of(const struct statement *said)
{
    const char *instance = strchr(said->word[1], '/');
    return (struct process){
        .pid = (unsigned)atoi(field(said, "pid")),
        .memory = strcmp(field(said, "memory"), "none") ? bytes(said, "memory") : ULLONG_MAX,
        .instance = instance ? (unsigned)atoi(instance + 1) : UINT_MAX,
        .compute_instance = instance ? 0 : UINT_MAX,
    };
}

/* A card in MIG mode has the processes of its instances too. */
static bool is_on(const struct statement *said, const char *device)
{
    char after = strncmp(said->word[1], device, strlen(device)) ? 'x' : said->word[1][strlen(device)];
    return !strcmp(said->word[0], "process") && (after == 0 || after == '/');
}

static enum result processes(const char *function, handle device, unsigned *count, struct process *list)
{
    struct statement said;
    enum result failed = enter_device(function, device, &said);
    if (failed)
        return failed;
    FILE *file = statements();
    unsigned room = *count;
    for (*count = 0; next(file, &said);)
        if (is_on(&said, name_of(device).text) && (*count)++ < room)
            list[*count - 1] = process_of(&said);
    return *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}

enum result nvmlDeviceGetComputeRunningProcesses_v2(handle device, unsigned *count, struct process *list)
{
    return processes(__func__, device, count, list);
}

enum result nvmlDeviceGetComputeRunningProcesses_v3(handle device, unsigned *count, struct process *list)
{
    return processes(__func__, device, count, list);
}

/* How they are connected */

static enum result enter_pair(const char *function, handle one, handle other)
{
    struct statement said;
    enum result failed = enter_device(function, one, &said);
    if (!failed)
        failed = failure(function, name_of(other).text);
    return failed ? failed : find_device(&said, other) ? SUCCESS : GPU_IS_LOST;
}

enum result nvmlDeviceGetTopologyCommonAncestor(handle one, handle other, unsigned *level)
{
    struct statement said;
    enum result failed = enter_pair(__func__, one, other);
    *level = find_pair(&said, "near", one, other) ? (unsigned)atoi(said.word[3]) : SYSTEM_LEVEL;
    return failed;
}

enum result nvmlDeviceGetP2PStatus(handle one, handle other, unsigned ability, enum peer_status *status)
{
    struct statement said;
    enum result failed = enter_pair(__func__, one, other);
    *status = ability == NVLINK && find_pair(&said, "link", one, other) ? PEER_OK : PEER_NOT_SUPPORTED;
    return failed;
}
