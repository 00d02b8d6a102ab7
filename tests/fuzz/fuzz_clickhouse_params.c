/* The query string of ClickHouse's HTTP interface, and the settings statement made of it. */
#include "clickhouse/params.h"
#include "clickhouse/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct params *p = params_new();
    struct err err = ERR_INIT;
    const struct param *list;

    if (params_parse(p, (const char *)data, size, &err) == 0) {
        struct buf sql = BUF_INIT;
        uint64_t n = 0;
        buf_adds(&sql, "SET ");
        params_settings_sql(p, &sql);
        /* Whatever the values hold, the statement stays one SET: nothing breaks out of its quotes. */
        struct sql s;
        int code;
        if (sql_scan(sql.data, sql.len, true, &s, &code, NULL) < 0 || s.kind != SQL_SESSION)
            abort();
        buf_free(&sql);
        for (size_t i = params_bindings(p, &list); i--;)
            if (list[i].value[list[i].value_len] != 0 || !*list[i].name)
                abort();
        if (params_number(p, "session_timeout", 3600, &n, NULL) == 0 && n > 3600)
            abort();
        (void)params_flag(p, "compress", false);
    } else if (!err.code || !err.message[0]) {
        abort();
    }
    params_free(p);
    return 0;
}
