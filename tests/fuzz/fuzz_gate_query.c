/* Any bytes as a statement: the reader ends, and what it lets through holds none of the words that may never pass. */
#include "agent/gate/query.h"

#include "base/mem.h"

#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool word_byte(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Outside strings only: within them anything may stand. */
static void check_words(const char *text)
{
    static const char *const never[] = {"settings", "outfile", "infile", "system", "format", "into"};
    bool string = false;
    for (const char *p = text; *p; p++) {
        if (string && *p == '\\' && p[1]) {
            p++;
        } else if (*p == '\'') {
            string = !string;
        } else if (!string && (p == text || !word_byte(p[-1]))) {
            for (size_t i = 0; i < ARRAY_SIZE(never); i++)
                if (!strncasecmp(p, never[i], strlen(never[i])) && !word_byte(p[strlen(never[i])]))
                    abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *text = mem_strndup((const char *)data, size);
    struct err err = ERR_INIT;
    int r = gate_query_check((const char *)data, size, GATE_QUERY_TEXT, &err);
    if (r < 0 && !err.message[0])
        abort();
    if (r == 0)
        check_words(text);
    return 0;
}
