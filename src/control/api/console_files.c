/* Gives out the console's built files. */
#include "control/api/console_files.h"

#include "base/fs.h"
#include "base/mem.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>

#define NAME_LENGTH_MAX 128

static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                             "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
                             "form-action 'self'; frame-ancestors 'none'";

static const char not_built[] =
    "<!doctype html><html lang=\"en\"><title>OwnHouse</title><h1>The console is not built</h1><p>This control plane "
    "runs without its web console. Install npm and run ./up in the source folder to build it; until then use the "
    "command ownhouse or the API.</p></html>\n";

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".woff2", "font/woff2"},
    {".json", "application/json"},
    {".txt", "text/plain; charset=utf-8"},
};

bool console_files_own(const char *path)
{
    return strcmp(path, "/v1") && strncmp(path, "/v1/", 4) && strcmp(path, "/openapi.json");
}

static bool clean_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_LENGTH_MAX || name[0] == '.')
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
            return false;
    return true;
}

/* "/assets/NAME" or "/NAME.EXT" -> relative path of a file; a page -> "index.html"; NULL: nothing. */
static const char *file_of(const char *path, bool *is_asset)
{
    const char *last = strrchr(path, '/');
    *is_asset = !strncmp(path, "/assets/", 8);
    if (*is_asset)
        return clean_name(path + 8) ? path + 1 : NULL;
    if (!last || !strchr(last, '.'))
        return "index.html";
    return last == path && clean_name(path + 1) ? path + 1 : NULL;
}

static const char *type_of(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        size_t s = strlen(types[i].suffix);
        if (n > s && !strcmp(name + n - s, types[i].suffix))
            return types[i].type;
    }
    return NULL;
}

static struct MHD_Response *with_headers(struct MHD_Response *r, const char *type, bool lasting)
{
    if (!r)
        return NULL;
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", lasting ? "public, max-age=31536000, immutable" : "no-cache");
    MHD_add_response_header(r, "Content-Security-Policy", policy);
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Cross-Origin-Opener-Policy", "same-origin");
    MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
    return r;
}

static struct MHD_Response *text(const char *body, const char *type)
{
    return with_headers(MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_PERSISTENT),
                        type, false);
}

/* -1: there is no such file. */
static int open_file(const char *folder, const char *name, struct stat *st)
{
    autofree char *path = mem_printf("%s/%s", folder, name);
    autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, st) < 0 || !S_ISREG(st->st_mode))
        return -1;
    return oh_take_fd(&fd);
}

struct MHD_Response *console_files_answer(const char *folder, const char *path, unsigned *ret_status)
{
    struct stat st;
    bool is_asset;
    const char *name = file_of(path, &is_asset), *type = name ? type_of(name) : NULL;
    int fd = folder && *folder && type ? open_file(folder, name, &st) : -1;
    bool is_page = name && !strcmp(name, "index.html");
    *ret_status = fd >= 0 || is_page ? 200 : 404;
    if (fd < 0)
        return is_page ? text(not_built, types[0].type) : text("There is nothing at this path.\n", "text/plain");
    struct MHD_Response *r = MHD_create_response_from_fd((uint64_t)st.st_size, fd);
    if (!r)
        close(fd);
    return with_headers(r, type, is_asset);
}
