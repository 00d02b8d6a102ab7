/* Writes the customer's artefact into a folder. */
#include "cli/artefact.h"

#include "base/fs.h"
#include "base/mem.h"
#include "cloud/aws/artefact.h"

static int write_json(const char *folder, const char *name, const json_t *v, struct err *err)
{
    autofree char *path = mem_printf("%s/%s", folder, name), *text = json_dumps(v, JSON_INDENT(1));
    autofree char *line = mem_printf("%s\n", text);
    return fs_write_atomic(path, line, strlen(line), 0644, err);
}

int artefact_write(const char *folder, const char *name, const char *external_id, const char *controller_arn,
                   struct err *err)
{
    autofree char *module = mem_printf("%s/terraform", folder);
    autojson json_t *stack = aws_artefact_cloudformation(name, external_id, controller_arn),
                    *terraform = aws_artefact_terraform(name, external_id, controller_arn);
    int r = fs_mkdirs(module, 0755, err);
    if (r == 0)
        r = write_json(folder, "cloudformation.json", stack, err);
    return r < 0 ? r : write_json(module, "main.tf.json", terraform, err);
}
