/* Reads and writes the operator's small files. */
#include "agent/operator/state_file.h"

#include "base/fs.h"

json_t *state_file_read(const char *path)
{
    autofree char *text = NULL;
    autojson json_t *v = NULL;
    size_t len = 0;
    if (!fs_exists(path) || fs_read(path, STATE_FILE_MAX, &text, &len, NULL) < 0 ||
        js_parse(text, len, STATE_FILE_MAX, &v, NULL) < 0 || !json_is_object(v))
        return json_object();
    return json_incref(v);
}

int state_file_write(const char *path, const json_t *object, struct err *err)
{
    autofree char *text = js_text(object);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}
