/* Says to an engine where a backup lies, and takes one away. */
#include "agent/operator/backup_place.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/s3.h"
#include "blueprint/blueprint.h"
#include "cloud/aws/objects.h"

bool backup_place_is(const struct backup_place *p)
{
    return p->dir || p->s3_url;
}

static char *copy(const char *text)
{
    return text ? mem_strdup(text) : NULL;
}

void backup_place_copy(const struct backup_place *from, struct backup_place *to)
{
    *to = (struct backup_place){copy(from->dir), copy(from->s3_url), copy(from->s3_region), copy(from->s3_keys)};
}

void backup_place_free(struct backup_place *p)
{
    free((char *)(uintptr_t)p->dir);
    free((char *)(uintptr_t)p->s3_url);
    free((char *)(uintptr_t)p->s3_region);
    free((char *)(uintptr_t)p->s3_keys);
    *p = (struct backup_place){0};
}

void backup_place_mark(const struct backup_place *p, char ret[BACKUP_PLACE_SIZE])
{
    char digest[65] = "";
    if (p->s3_url)
        sha256_hex(p->s3_url, strlen(p->s3_url), digest);
    snprintf(ret, BACKUP_PLACE_SIZE, "%.16s", digest);
}

char *backup_place_sql(const struct backup_place *p, const char *service, const char *backup)
{
    struct buf out = BUF_INIT;
    if (p->dir) {
        autofree char *path = mem_printf("%s/%s/%s", p->dir, service, backup);
        buf_adds(&out, "File(");
        buf_quote(&out, '\'', path);
    } else {
        char disk[BLUEPRINT_BACKUP_DISK_SIZE];
        blueprint_backup_disk(service, disk);
        buf_printf(&out, "Disk('%s', '%s'", disk, backup);
    }
    buf_addc(&out, ')');
    return buf_take(&out);
}

static int remove_objects(const struct backup_place *p, const char *service, const char *backup, struct err *err)
{
    struct s3_url url;
    autos3keys struct s3_keys keys = {0};
    struct aws_source source;
    int r = s3_url_parse(p->s3_url, &url, err);
    if (r == 0 && p->s3_keys)
        r = s3_keys_load(p->s3_keys, &keys, err);
    if (r < 0)
        return r;
    aws_source_environment(&source);
    if (p->s3_keys)
        source = (struct aws_source){
            .id = keys.access_key_id, .secret = keys.secret_access_key, .region = p->s3_region, .no_imds = true};
    autojson json_t *endpoints = json_pack("{ss}", "s3", url.endpoint);
    autofree char *prefix = mem_printf("%s%s%s/%s/", url.prefix, *url.prefix ? "/" : "", service, backup);
    autoaws struct aws_client *client = aws_client_new(&(struct aws_config){.region = p->s3_region,
                                                                            .endpoints = endpoints,
                                                                            .source = source,
                                                                            .clock = &clock_system,
                                                                            .attempts = 3,
                                                                            .timeout_ms = 20000});
    return aws_objects_remove(client, url.bucket, prefix, err);
}

int backup_place_remove(const struct backup_place *p, const char *service, const char *backup, struct err *err)
{
    autofree char *path = p->dir ? mem_printf("%s/%s/%s", p->dir, service, backup) : NULL;
    return path ? fs_remove_tree(path, err) : remove_objects(p, service, backup, err);
}
