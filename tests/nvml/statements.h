/* Reads what a test says of its cards, from the file that FAKE_NVML names.
 *
 * It is read anew each time, so that a test may change the cards under a living process; `fake.py` replaces it as
 * a whole. A line has one statement, in any order, and what follows a # is a comment:
 *
 *     init ERROR                         nvmlInit fails; errors are NVML_ERROR_..., named without that
 *     card 0 uuid=GPU-aaaa bus=0000:01:00.0 total=24576 used=0 name=NVIDIA_A10      MiB; an underscore is a blank
 *     mig 0 0 uuid=MIG-bbbb total=10240 used=0     card 0 is in MIG mode, and this is its instance 0
 *     process 0 pid=1234 memory=1000     a process on card 0, on instance 1 of it if 0/1; memory=none: not known
 *     error 0 FUNCTION ERROR             the function fails for that card or instance, for `-` where it has none
 *     hang 0 FUNCTION 30                 it takes so many seconds, or until this line is gone
 *     link 0 1                           the two are connected by NVLink
 *     near 0 1 40                        the level of their common ancestor, which else is that of the system
 *
 * A function that gets a card or an instance by its number is one of that card or instance.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 12

struct statement { char line[512]; const char *word[WORDS]; };

static FILE *statements(void) { return getenv("FAKE_NVML") ? fopen(getenv("FAKE_NVML"), "re") : NULL; }

/* Closes the file after its last one. */
static bool next(FILE *file, struct statement *said)
{
    while (file && fgets(said->line, sizeof said->line, file)) {
        char *rest = said->line;
        rest[strcspn(rest, "#\n")] = 0;
        for (int i = 0; i < WORDS; i++) {
            const char *word = strtok_r(rest, " \t", &rest);
            said->word[i] = word ? word : "";
        }
        if (*said->word[0])
            return true;
    }
    if (file)
        fclose(file);
    return false;
}

/* The length of a function's name without what tells versions of it apart. */
static size_t length_of(const char *name)
{
    const char *end = strstr(name, "_v");
    if (!end)
        end = strstr(name, "WithFlags");
    return end ? (size_t)(end - name) : strlen(name);
}

/* The first statement of a kind whose next two words are these; NULL stands for any. */
static bool find(struct statement *said, const char *kind, const char *subject, const char *second)
{
    FILE *file = statements();
    while (next(file, said)) {
        const char *word = said->word[2];
        if (strcmp(said->word[0], kind) || (subject && strcmp(said->word[1], subject)))
            continue;
        if (second && (length_of(word) != length_of(second) || strncmp(word, second, length_of(word))))
            continue;
        fclose(file);
        return true;
    }
    return false;
}

static const char *field(const struct statement *said, const char *key)
{
    for (int i = 0; i < WORDS; i++)
        if (!strncmp(said->word[i], key, strlen(key)) && said->word[i][strlen(key)] == '=')
            return said->word[i] + strlen(key) + 1;
    return "";
}

static unsigned long long bytes(const struct statement *said, const char *key)
{
    return strtoull(field(said, key), NULL, 10) * 1024 * 1024;
}
