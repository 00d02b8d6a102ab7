/* Streaming compression and decompression of HTTP bodies with zlib and zstd. */
#include "clickhouse/codec.h"

#include "base/mem.h"

#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#define PIECE KIB(64)
#define ZSTD_WINDOW_LOG_MAX_OURS 27

int codec_parse(const char *name, enum codec_kind *ret)
{
    static const struct {
        const char *name;
        enum codec_kind kind;
    } kinds[] = {{"", CODEC_NONE},       {"identity", CODEC_NONE},   {"gzip", CODEC_GZIP},
                 {"x-gzip", CODEC_GZIP}, {"deflate", CODEC_DEFLATE}, {"zstd", CODEC_ZSTD}};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strcasecmp(name, kinds[i].name) == 0) {
            *ret = kinds[i].kind;
            return 0;
        }
    return -EINVAL;
}

const char *codec_name(enum codec_kind kind)
{
    static const char *const names[] = {NULL, "gzip", "deflate", "zstd"};
    return names[kind];
}

static size_t span_blank(const char *s)
{
    return strspn(s, " \t");
}

enum codec_kind codec_accepted(const char *header)
{
    enum codec_kind best = CODEC_NONE;
    while (header && *header) {
        header += span_blank(header);
        size_t item = strcspn(header, ","), name = strcspn(header, ",; \t");
        char word[16] = "";
        enum codec_kind kind;
        if (name < sizeof(word))
            memcpy(word, header, name);
        const char *q = memmem(header, item, "q=", 2);
        bool refused = q && strtod(q + 2, NULL) <= 0;
        if (*word && !refused && codec_parse(word, &kind) == 0 && kind > best)
            best = kind;
        header += item;
        header += *header == ',';
    }
    return best;
}

struct decoder {
    enum codec_kind kind;
    z_stream z;
    ZSTD_DStream *zstd;
    bool mid; /* inside a member or frame */
    bool any;
    unsigned char piece[PIECE];
};

struct decoder *decoder_new(enum codec_kind kind)
{
    struct decoder *d = mem_alloc(sizeof(*d));
    d->kind = kind;
    /* 15 + 32: the largest window, and gzip or zlib header by what is there. */
    if ((kind == CODEC_GZIP || kind == CODEC_DEFLATE) && inflateInit2(&d->z, 15 + 32) != Z_OK)
        abort();
    if (kind == CODEC_ZSTD) {
        d->zstd = ZSTD_createDStream();
        if (!d->zstd)
            abort();
        ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX_OURS);
    }
    return d;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    if (d->kind == CODEC_GZIP || d->kind == CODEC_DEFLATE)
        inflateEnd(&d->z);
    ZSTD_freeDStream(d->zstd);
    free(d);
}

static int feed_zlib(struct decoder *d, const void *data, size_t len, codec_sink *sink, void *user, struct err *err)
{
    d->z.next_in = (unsigned char *)(uintptr_t)data;
    d->z.avail_in = (unsigned)len;
    do {
        d->z.next_out = d->piece;
        d->z.avail_out = PIECE;
        int r = inflate(&d->z, Z_NO_FLUSH);
        if (r == Z_BUF_ERROR)
            break; /* wants more input */
        if (r != Z_OK && r != Z_STREAM_END)
            return err_set(err, -EBADMSG, "the request's body is not valid %s data", codec_name(d->kind));
        d->mid = r != Z_STREAM_END;
        size_t n = PIECE - d->z.avail_out;
        int s = n ? sink(user, d->piece, n) : 0;
        if (s < 0)
            return s;
        if (r == Z_STREAM_END)
            inflateReset(&d->z);
    } while (d->z.avail_in || d->z.avail_out == 0);
    return 0;
}

static int feed_zstd(struct decoder *d, const void *data, size_t len, codec_sink *sink, void *user, struct err *err)
{
    ZSTD_inBuffer in = {data, len, 0};
    ZSTD_outBuffer out;
    do {
        out = (ZSTD_outBuffer){d->piece, PIECE, 0};
        size_t r = ZSTD_decompressStream(d->zstd, &out, &in);
        if (ZSTD_isError(r))
            return err_set(err, -EBADMSG, "the request's body is not valid zstd data (%s)", ZSTD_getErrorName(r));
        d->mid = r != 0;
        int s = out.pos ? sink(user, d->piece, out.pos) : 0;
        if (s < 0)
            return s;
    } while (in.pos < in.size || out.pos == PIECE);
    return 0;
}

int decoder_feed(struct decoder *d, const void *data, size_t len, codec_sink *sink, void *user, struct err *err)
{
    if (!len)
        return 0;
    d->any = true;
    if (d->kind == CODEC_NONE)
        return sink(user, data, len);
    return d->kind == CODEC_ZSTD ? feed_zstd(d, data, len, sink, user, err) : feed_zlib(d, data, len, sink, user, err);
}

int decoder_finish(struct decoder *d, struct err *err)
{
    if (d->kind != CODEC_NONE && d->any && d->mid)
        return err_set(err, -EBADMSG, "the request's body ends inside its %s data", codec_name(d->kind));
    return 0;
}

struct encoder {
    enum codec_kind kind;
    z_stream z;
    ZSTD_CStream *zstd;
    unsigned char piece[PIECE];
};

struct encoder *encoder_new(enum codec_kind kind, int level)
{
    struct encoder *e = mem_alloc(sizeof(*e));
    e->kind = kind;
    if (kind == CODEC_GZIP || kind == CODEC_DEFLATE) {
        int z = level ? MIN(level, 9) : 3;
        if (deflateInit2(&e->z, z, Z_DEFLATED, kind == CODEC_GZIP ? 15 + 16 : 15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
            abort();
    } else if (kind == CODEC_ZSTD) {
        e->zstd = ZSTD_createCStream();
        if (!e->zstd)
            abort();
        ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, level ? MIN(level, 12) : 1);
    }
    return e;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    if (e->kind == CODEC_GZIP || e->kind == CODEC_DEFLATE)
        deflateEnd(&e->z);
    ZSTD_freeCStream(e->zstd);
    free(e);
}

void encoder_feed(struct encoder *e, const void *data, size_t len, bool flush, bool last, struct buf *out)
{
    if (e->kind == CODEC_NONE) {
        buf_add(out, data, len);
    } else if (e->kind == CODEC_ZSTD) {
        ZSTD_inBuffer in = {data, len, 0};
        size_t left;
        do {
            ZSTD_outBuffer o = {e->piece, PIECE, 0};
            left = ZSTD_compressStream2(e->zstd, &o, &in, last ? ZSTD_e_end : flush ? ZSTD_e_flush : ZSTD_e_continue);
            buf_add(out, e->piece, o.pos);
        } while (in.pos < in.size || ((last || flush) && left && !ZSTD_isError(left)));
    } else {
        e->z.next_in = (unsigned char *)(uintptr_t)data;
        e->z.avail_in = (unsigned)len;
        do {
            e->z.next_out = e->piece;
            e->z.avail_out = PIECE;
            deflate(&e->z, last ? Z_FINISH : flush ? Z_SYNC_FLUSH : Z_NO_FLUSH);
            buf_add(out, e->piece, PIECE - e->z.avail_out);
        } while (e->z.avail_out == 0);
    }
}
