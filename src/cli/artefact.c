/* Writes the customer's artefact into a folder. */
#include "cli/artefact.h"

#include "base/fs.h"
#include "base/mem.h"

static int write_json(const char *folder, const char *name, const json_t *v, struct err *err)
{
    autofree char *path = mem_printf("%s/%s", folder, name), *text = json_dumps(v, JSON_INDENT(1));
    autofree char *line = mem_printf("%s\n", text);
    return fs_write_atomic(path, line, strlen(line), 0644, err);
}

int artefact_write(const char *folder, const struct artefact *a, struct err *err)
{
    autofree char *module = mem_printf("%s/terraform", folder),
                  *buckets OH_CLEANUP(oh_freep) = mem_printf("%s/terraform-buckets", folder);
    int r = fs_mkdirs(module, 0755, err);
    if (r == 0)
        r = fs_mkdirs(buckets, 0755, err);
    if (r == 0)
        r = write_json(folder, "cloudformation.json", a->cloudformation, err);
    if (r == 0)
        r = write_json(module, "main.tf.json", a->terraform, err);
    if (r == 0)
        r = write_json(folder, "buckets.json", a->buckets_cloudformation, err);
    return r < 0 ? r : write_json(buckets, "main.tf.json", a->buckets_terraform, err);
}
