/* The gate's list without the gate, for tests: reads statements from standard input, each ended by a NUL, and says for
 * each on a line `pass` or why not. With --views it prints the statements that make the views. */
#include "agent/gate/query.h"
#include "base/mem.h"
#include "blueprint/diag.h"

int main(int argc, char **argv)
{
    autofree char *text = NULL;
    size_t room = 0;
    ssize_t n;
    if (argc > 1 && !strcmp(argv[1], "--views")) {
        autobuf struct buf out = BUF_INIT;
        diag_statements(false, &out);
        fputs(out.data, stdout);
        return 0;
    }
    while ((n = getdelim(&text, &room, '\0', stdin)) > 0) {
        struct err err = ERR_INIT;
        if (text[n - 1] == '\0')
            n--;
        puts(gate_query_check(text, (size_t)n, GATE_QUERY_DIAG, &err) == 0 ? "pass" : err.message);
    }
    return 0;
}
