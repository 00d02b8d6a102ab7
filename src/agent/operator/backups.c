/* Keeps the records of backups and starts, one at a time, what is due. */
#include "agent/operator/backups.h"

#include "agent/operator/backup_job.h"
#include "base/fs.h"
#include "base/mem.h"
#include "blueprint/blueprint.h"

#include <sys/stat.h>

#define FILE_MAX MIB(16)
#define RECORDS_MAX 50000

struct backups {
    struct backups_config c;
    struct backup_place place;
    char mark[BACKUP_PLACE_SIZE]; /* of the place */
    char *password, *path;
    struct backup_list list;
    json_t *services; /* id -> {firstSeenMs, ordered, restore: "" | "running" | "done" | "failed", error} */
    uv_work_t work;
    struct backup_job job; /* the thread's while busy */
    char of[UUID_SIZE];    /* the service that it is of */
    bool busy;
    atomic_bool ending;
    char sentence[BACKUP_ERROR_MAX + 80];
    void (*done)(void *data);
    void *done_data;
};

static void event(const struct backups *b, bool error, const char *message)
{
    if (b->c.on_event)
        b->c.on_event(error, message, b->c.data);
}

/* ---- records ---- */

static int save(struct backups *b)
{
    autojson json_t *records = json_array(), *all = NULL;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < b->list.n; i++)
        json_array_append_new(records, backup_to_json(&b->list.items[i]));
    all = json_pack("{sO sO}", "backups", records, "services", b->services);
    autofree char *text = js_text(all);
    int r = fs_write_atomic(b->path, text, strlen(text), 0600, &err);
    if (r < 0)
        event(b, true, err.message);
    return r;
}

static int load(struct backups *b, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *all = NULL;
    json_t *records = NULL, *services = NULL;
    size_t len = 0;
    int r = fs_read_secret(b->path, FILE_MAX, &text, &len, err);
    if (r == -ENOENT) {
        b->services = json_object();
        return 0;
    }
    if (r == 0)
        r = js_parse(text, len, FILE_MAX, &all, err);
    if (r == 0)
        r = js_array(all, "", "backups", RECORDS_MAX, &records, err);
    if (r == 0)
        r = js_object(all, "", "services", &services, err);
    for (size_t i = 0; r == 0 && i < json_array_size(records); i++)
        r = backup_from_json(json_array_get(records, i), backup_add(&b->list), err);
    b->services = services ? json_incref(services) : json_object();
    return r < 0 ? err_wrap(err, r, "%s", b->path) : 0;
}

static const char *restore_state(const struct backups *b, const char *service)
{
    const char *s = json_string_value(json_object_get(json_object_get(b->services, service), "restore"));
    return s ? s : "";
}

static void set_restore(struct backups *b, const char *service, const char *state, const char *error)
{
    json_t *one = json_object_get(b->services, service);
    if (!one)
        return;
    json_object_set_new(one, "restore", json_string(state));
    json_object_set_new(one, "error", js_string_of(error));
}

static int64_t first_seen(struct backups *b, const char *service, int64_t now)
{
    json_t *one = json_object_get(b->services, service);
    if (!one) {
        one = json_pack("{sI}", "firstSeenMs", (json_int_t)now);
        json_object_set_new(b->services, service, one);
        (void)!save(b);
    }
    return json_integer_value(json_object_get(one, "firstSeenMs"));
}

static const struct desired_service *service_of(const struct desired *d, const char *id)
{
    for (size_t i = 0; i < d->n_services; i++)
        if (!strcmp(d->services[i].id, id))
            return &d->services[i];
    return NULL;
}

static bool is_wanted(const struct desired *d, const char *service)
{
    const struct desired_service *s = service_of(d, service);
    return s && s->state != DESIRED_DELETED;
}

/* What the document now says of retention holds for what was made before, too. */
static void follow_document(struct backups *b, const struct desired *d)
{
    const char *id;
    json_t *one;
    void *next;
    for (size_t i = 0; i < b->list.n; i++) {
        const struct desired_service *s = service_of(d, b->list.items[i].service);
        if (s && s->state != DESIRED_DELETED)
            b->list.items[i].retention_hours = s->backup.retention_hours;
    }
    json_object_foreach_safe(b->services, next, id, one)
    {
        if (!is_wanted(d, id))
            json_object_del(b->services, id);
    }
}

/* ---- the thread ---- */

static void job_clear(struct backup_job *j)
{
    free(j->url);
    free(j->password);
    *j = (struct backup_job){0};
}

static void release(struct backups *b)
{
    job_clear(&b->job);
    json_decref(b->services);
    free(b->list.items);
    backup_place_free(&b->place);
    free(b->path);
    mem_wipe(b->password, strlen(b->password));
    free(b->password);
    if (b->done)
        b->done(b->done_data);
    free(b);
}

static void run(uv_work_t *work)
{
    backup_job_run(&((struct backups *)work->data)->job);
}

static void take_backup(struct backups *b)
{
    const struct backup_job *j = &b->job;
    struct backup *record = backup_find(&b->list, j->id);
    if (!record || j->outcome == BACKUP_OUTCOME_LEFT)
        return;
    bool good = j->outcome == BACKUP_OUTCOME_DONE;
    record->state = good ? BACKUP_DONE : BACKUP_FAILED;
    record->finished_ms = clock_wall_ms(b->c.clock);
    record->bytes = good ? j->bytes : 0;
    record->drill = j->drill;
    record->drill_tables = j->drill_tables;
    memcpy(record->error, j->error, sizeof(record->error));
    autofree char *text = mem_printf("backup %s of service %s: %s", record->id, record->service,
                                     good && j->drill != DRILL_FAILED ? "made" : j->error);
    event(b, !good || j->drill == DRILL_FAILED, text);
}

static void take_restore(struct backups *b)
{
    const struct backup_job *j = &b->job;
    if (j->outcome == BACKUP_OUTCOME_LEFT)
        return;
    bool good = j->outcome == BACKUP_OUTCOME_DONE;
    set_restore(b, b->of, good ? "done" : "failed", j->error);
    autofree char *text = mem_printf("service %s was %s from backup %s%s%s", b->of, good ? "filled" : "not filled",
                                     j->id, good ? "" : ": ", j->error);
    event(b, !good, text);
}

static void take_deletion(struct backups *b)
{
    for (size_t i = 0; i < b->list.n; i++)
        if (!strcmp(b->list.items[i].id, b->job.id) && b->job.outcome == BACKUP_OUTCOME_DONE) {
            backup_remove(&b->list, i);
            return;
        }
}

static void ended(uv_work_t *work, int status OH_UNUSED)
{
    struct backups *b = work->data;
    b->busy = false;
    if (*b->job.detail)
        event(b, true, b->job.detail);
    if (b->job.act == BACKUP_ACT_MAKE)
        take_backup(b);
    else if (b->job.act == BACKUP_ACT_RESTORE)
        take_restore(b);
    else
        take_deletion(b);
    if (b->job.outcome != BACKUP_OUTCOME_LEFT)
        (void)!save(b);
    if (atomic_load(&b->ending)) {
        release(b);
        return;
    }
    b->c.changed(b->c.data);
}

/* What is the same for every act; the caller has set what is not. */
static void start(struct backups *b, const char *service, const char *owner, const char *backup, const char *address)
{
    struct backup_job *j = &b->job;
    const char *left = address && strchr(address, ':') ? "[" : "", *right = *left ? "]" : "";
    snprintf(b->of, sizeof(b->of), "%s", service);
    snprintf(j->id, sizeof(j->id), "%s", backup);
    j->url = mem_printf("http://%s%s%s:%d/", left, address ? address : "", right, BLUEPRINT_HTTP_PORT);
    j->password = mem_strdup(b->password);
    snprintf(j->service, sizeof(j->service), "%s", owner);
    j->place = &b->place;
    j->ending = &b->ending;
    b->work.data = b;
    b->busy = uv_queue_work(b->c.loop, &b->work, run, ended) == 0;
}

/* ---- a step ---- */

struct step {
    struct backups *b;
    const struct desired *d;
    const struct runtime_status_list *observed;
    int64_t now; /* wall */
};

/* Where the engine of the first replica answers; NULL: it does not. */
static const char *engine_of(const struct step *st, const char *service)
{
    char name[WORKLOAD_NAME_MAX + 1];
    snprintf(name, sizeof(name), "clickhouse-%s-0", service);
    for (size_t i = 0; i < st->observed->n; i++) {
        const struct runtime_status *s = &st->observed->items[i];
        if (!strcmp(s->name, name))
            return s->state == RUNTIME_RUNNING && s->address && *s->address ? s->address : NULL;
    }
    return NULL;
}

#define FORMER_PLACE "it lies where backups went before the setting was changed"

static bool is_here(const struct backups *b, const struct backup *record)
{
    return !strcmp(record->place, b->mark);
}

static bool to_be_filled(const struct backups *b, const struct desired_service *s)
{
    const char *state = s->restore_backup && s->state != DESIRED_DELETED ? restore_state(b, s->id) : "done";
    return strcmp(state, "done") && strcmp(state, "failed");
}

static bool start_restore(struct step *st)
{
    struct backups *b = st->b;
    for (size_t i = 0; i < st->d->n_services; i++) {
        const struct desired_service *s = &st->d->services[i];
        const char *address = to_be_filled(b, s) ? engine_of(st, s->id) : NULL;
        if (!address)
            continue;
        const struct backup *record = backup_find(&b->list, s->restore_backup);
        if (record && !is_here(b, record)) {
            set_restore(b, s->id, "failed", FORMER_PLACE);
            (void)!save(b);
            continue;
        }
        job_clear(&b->job);
        b->job.act = BACKUP_ACT_RESTORE;
        b->job.resume = !strcmp(restore_state(b, s->id), "running");
        set_restore(b, s->id, "running", "");
        if (save(b) < 0)
            return false;
        start(b, s->id, s->restore_service, s->restore_backup, address);
        return true;
    }
    return false;
}

/* One that ran when we ended. Of an engine that is not to run any more nothing can be asked. */
static bool take_up(struct step *st)
{
    struct backups *b = st->b;
    for (size_t i = 0; i < b->list.n; i++) {
        struct backup *record = &b->list.items[i];
        if (record->state != BACKUP_RUNNING)
            continue;
        const struct desired_service *s = service_of(st->d, record->service);
        const char *address = engine_of(st, record->service);
        if (s && s->state == DESIRED_RUNNING && !address)
            continue;
        if (!address || !is_here(b, record)) {
            record->state = BACKUP_FAILED;
            record->finished_ms = st->now;
            snprintf(record->error, sizeof(record->error), "%s",
                     address ? FORMER_PLACE : "the service was stopped in the middle of it");
            (void)!save(b);
            continue;
        }
        job_clear(&b->job);
        b->job.act = BACKUP_ACT_MAKE;
        b->job.resume = true;
        start(b, record->service, record->service, record->id, address);
        return true;
    }
    return false;
}

/* Somebody still begins with a backup of this service. */
static bool is_being_read(const struct step *st, const char *service)
{
    for (size_t i = 0; i < st->d->n_services; i++)
        if (to_be_filled(st->b, &st->d->services[i]) && !strcmp(st->d->services[i].restore_service, service))
            return true;
    return false;
}

static bool start_deletion(struct step *st)
{
    struct backups *b = st->b;
    for (size_t i = 0; i < b->list.n; i++) {
        const struct backup *record = &b->list.items[i];
        if (!backup_expired(&b->list, i, is_wanted(st->d, record->service), st->now) ||
            is_being_read(st, record->service))
            continue;
        if (!is_here(b, record)) {
            autofree char *text = mem_printf("backup %s of service %s is forgotten; its files stay: " FORMER_PLACE,
                                             record->id, record->service);
            event(b, false, text);
            backup_remove(&b->list, i);
            (void)!save(b);
            return false;
        }
        job_clear(&b->job);
        b->job.act = BACKUP_ACT_DELETE;
        start(b, record->service, record->service, record->id, NULL);
        return true;
    }
    return false;
}

/* The one that is asked for by its id and was not begun yet; what was ordered at this data plane comes first. */
static const char *asked_of(const struct backups *b, const struct desired_service *s)
{
    const char *ordered = json_string_value(json_object_get(json_object_get(b->services, s->id), "ordered"));
    if (ordered && !backup_find(&b->list, ordered))
        return ordered;
    return s->backup_asked && !backup_find(&b->list, s->backup_asked) ? s->backup_asked : NULL;
}

static bool start_backup(struct step *st, const struct desired_service *s, const char *address)
{
    struct backups *b = st->b;
    char id[UUID_SIZE];
    const struct backup *base = backup_base(&b->list, s->id, b->mark);
    const char *asked = asked_of(b, s);
    if (asked)
        snprintf(id, sizeof(id), "%s", asked);
    else
        uuid_new(id);
    job_clear(&b->job);
    b->job.act = BACKUP_ACT_MAKE;
    json_t *one = json_object_get(b->services, s->id);
    autojson json_t *ordered = json_incref(json_object_get(one, "ordered"));
    if (ordered && !strcmp(json_string_value(ordered), id))
        json_object_del(one, "ordered"); /* its record stands for it from now on */
    if (base)
        memcpy(b->job.base, base->id, UUID_SIZE);
    struct backup record = {.state = BACKUP_RUNNING, .started_ms = st->now};
    record.retention_hours = s->backup.retention_hours;
    snprintf(record.id, sizeof(record.id), "%s", id);
    memcpy(record.place, b->mark, sizeof(record.place));
    snprintf(record.service, sizeof(record.service), "%s", s->id);
    snprintf(record.base, sizeof(record.base), "%s", base ? base->id : "");
    *backup_add(&b->list) = record;
    if (save(b) < 0) {
        backup_remove(&b->list, b->list.n - 1);
        if (ordered)
            json_object_set(one, "ordered", ordered);
        return false;
    }
    start(b, s->id, s->id, id, address);
    return true;
}

/* The due one, or when the next is. */
static bool start_due(struct step *st, int64_t *next)
{
    struct backups *b = st->b;
    for (size_t i = 0; i < st->d->n_services; i++) {
        const struct desired_service *s = &st->d->services[i];
        const char *address = s->state == DESIRED_RUNNING ? engine_of(st, s->id) : NULL;
        if (!address || to_be_filled(b, s))
            continue;
        int64_t due = backup_due(&b->list, s->id, &s->backup, asked_of(b, s), first_seen(b, s->id, st->now));
        if (due <= st->now && start_backup(st, s, address))
            return true;
        *next = MIN(*next, MAX(due - st->now, 1000));
    }
    return false;
}

void backups_step(struct backups *b, const struct desired *d, const struct runtime_status_list *observed,
                  int64_t *again_ms)
{
    struct step st = {b, d, observed, clock_wall_ms(b->c.clock)};
    int64_t next = INT64_C(3600) * 1000;
    if (b->busy)
        return;
    for (size_t i = 0; i < d->n_services; i++)
        if (d->services[i].state != DESIRED_DELETED)
            (void)first_seen(b, d->services[i].id, st.now);
    follow_document(b, d);
    if (start_restore(&st) || take_up(&st) || start_deletion(&st) || start_due(&st, &next)) {
        b->c.changed(b->c.data); /* what began is worth a report */
        return;
    }
    *again_ms = MIN(*again_ms, clock_mono_ms(b->c.clock) + next);
}

/* ---- telling ---- */

int backups_restoring(struct backups *b, const struct desired_service *s, const char **ret_sentence)
{
    const char *state = s->restore_backup && s->state == DESIRED_RUNNING ? restore_state(b, s->id) : "done";
    if (!strcmp(state, "done"))
        return 0;
    if (strcmp(state, "failed")) {
        snprintf(b->sentence, sizeof(b->sentence), "it is being filled from backup %s", s->restore_backup);
        *ret_sentence = b->sentence;
        return 1;
    }
    const char *why = json_string_value(json_object_get(json_object_get(b->services, s->id), "error"));
    snprintf(b->sentence, sizeof(b->sentence),
             "it was not filled from its backup: %s; delete this service and create it again", why ? why : "");
    *ret_sentence = b->sentence;
    return -EIO;
}

/* ---- what is ordered ---- */

int backups_order(struct backups *b, const struct desired_service *s, const char *id, struct err *err)
{
    const char *why = NULL;
    (void)first_seen(b, s->id, clock_wall_ms(b->c.clock));
    json_t *one = json_object_get(b->services, s->id);
    const char *before = json_string_value(json_object_get(one, "ordered"));
    if (to_be_filled(b, s))
        return err_set(err, -EBUSY, "the service is still being filled from a backup");
    if (before && backups_outcome(b, s->id, before, &why) > 0)
        return err_set(err, -EBUSY, "backup %s was asked for before, and is not made yet", before);
    autojson json_t *old = json_incref(json_object_get(one, "ordered"));
    json_object_set_new(one, "ordered", json_string(id));
    if (save(b) == 0)
        return 0;
    if (old)
        json_object_set(one, "ordered", old);
    else
        json_object_del(one, "ordered");
    return err_set(err, -EIO, "the order could not be written down: backups.json cannot be written");
}

int backups_outcome(struct backups *b, const char *service, const char *id, const char **ret_sentence)
{
    const struct backup *record = backup_find(&b->list, id);
    const char *ordered = json_string_value(json_object_get(json_object_get(b->services, service), "ordered"));
    *ret_sentence = "";
    if (!record && ordered && !strcmp(ordered, id))
        return 1;
    if (!record) {
        *ret_sentence = "its record is gone";
        return -EIO;
    }
    if (record->state == BACKUP_DONE && record->drill != DRILL_FAILED)
        return 0;
    snprintf(b->sentence, sizeof(b->sentence), "%s",
             *record->error ? record->error : "the backup could not be made or not be restored");
    *ret_sentence = b->sentence;
    return record->state == BACKUP_RUNNING ? 1 : -EIO;
}

bool backups_busy(const struct backups *b, const char *service)
{
    return b->busy && !strcmp(b->of, service);
}

json_t *backups_told(const struct backups *b)
{
    json_t *list = json_array(), *one;
    size_t at;
    for (size_t i = b->list.n > BACKUPS_TOLD_MAX ? b->list.n - BACKUPS_TOLD_MAX : 0; i < b->list.n; i++)
        json_array_append_new(list, backup_to_json(&b->list.items[i]));
    json_array_foreach(list, at, one) json_object_del(one, "place"); /* ours alone */
    return list;
}

/* ---- life ---- */

int backups_new(const struct backups_config *c, struct backups **ret, struct err *err)
{
    struct backups *b = mem_alloc(sizeof(*b));
    b->c = *c;
    backup_place_copy(&c->place, &b->place);
    backup_place_mark(&b->place, b->mark);
    b->password = mem_strdup(c->password);
    b->path = mem_printf("%s/backups.json", c->state_dir);
    b->c.place = (struct backup_place){0};
    b->c.password = b->c.state_dir = NULL;
    int r = load(b, err);
    if (r < 0)
        release(b);
    else
        *ret = b;
    return r;
}

void backups_free(struct backups *b, void (*done)(void *data), void *data)
{
    atomic_store(&b->ending, true);
    b->done = done;
    b->done_data = data;
    if (!b->busy)
        release(b);
}
