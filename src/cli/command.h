/* The frame of the ownhouse command: one table of commands gives parsing, help, completion and exit codes.
 *
 * A command's run() returns 0 or a negative errno with one sentence in err; the frame prints the sentence and turns the
 * errno into an exit code. With --json the answer, or {"error": {...}}, is the only thing on standard output. */
#pragma once

#include "base/err.h"
#include "base/js.h"
#include "cli/ui.h"

/* Exit codes, documented in ownhouse(1). */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,   /* -ENOENT */
    CLI_REFUSED = 4,     /* -EACCES, -EPERM, -ECANCELED */
    CLI_UNREACHABLE = 5, /* -ECONNREFUSED, -EHOSTUNREACH */
    CLI_TIMED_OUT = 6,   /* -ETIMEDOUT */
};

/* What run() returns for a wrong call: no library gives it. */
#define CLI_BAD_USAGE (-EDOM)

struct cli_option {
    const char *name;
    char letter;          /* 0: long form only */
    const char *argument; /* NULL: a flag */
    const char *help;
};

struct cli;

struct cli_command {
    const char *name;
    const char *arguments; /* as shown in usage, "" for none */
    const char *summary;   /* one line */
    const char *details;   /* paragraphs for --help; NULL: none */
    int min_arguments, max_arguments;
    const struct cli_option *options;      /* ends with a NULL name; NULL: none beside the common ones */
    const struct cli_command *subcommands; /* ends with a NULL name; with them run() is not called */
    const char *default_subcommand;        /* what the bare command means; NULL: one must be said */
    int (*run)(struct cli *c, struct err *err);
};

#define CLI_MAX_OPTIONS 16

struct cli {
    const struct cli_command *root, *command;
    char *home;      /* absolute */
    bool home_given; /* by --home */
    bool json;
    struct ui ui;
    json_t *answer; /* set by run() for --json (reference is taken over); NULL: {} */
    bool answered;  /* the answer, an object, is said also when run() fails; its "error" becomes what failed */
    const char *const *arguments;
    int n_arguments;
    const char *values[CLI_MAX_OPTIONS]; /* by place in command->options */
};

/* The value of an option of the running command: NULL when absent, "" for a flag that is set. Aborts on a name that is
 * not in the table. */
const char *cli_option(const struct cli *c, const char *name);
/* A whole number option; *ret stays as it is when the option is absent. */
OH_MUST_CHECK int cli_option_int(const struct cli *c, const char *name, int64_t min, int64_t max, int64_t *ret,
                                 struct err *err);
/* A path below the home folder; free(). */
char *cli_path(const struct cli *c, const char *fmt, ...) OH_PRINTF(2, 3);

/* The exit code for a run()'s result. */
int cli_exit_code(int r);

/* Parses, runs, reports; returns the exit status. `root` has subcommands. */
int cli_main(const struct cli_command *root, int argc, char **argv);

/* Built from the same table: `ownhouse help`, `ownhouse completion bash`. */
extern const struct cli_command cli_help_command, cli_completion_command;
