/* Composes mail and hands it to an SMTP server. */
#include "control/outward/mail.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/keys.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <time.h>

#define ADDRESS_MAX 254
#define PASSWORD_FILE_MAX 1024

static bool safe_address(const char *text)
{
    const char *at = strchr(text, '@');
    if (!at || at == text || !at[1] || strlen(text) > ADDRESS_MAX)
        return false;
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || strchr("<>\"(),:;\\", *text))
            return false;
    return true;
}

static bool plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/* RFC 2047: what is not ASCII goes as encoded words of at most 75 characters. */
static void add_subject(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    buf_adds(out, "Subject: ");
    if (plain(text) && len < 200) {
        buf_printf(out, "%s\r\n", text);
        return;
    }
    while (len) {
        size_t n = MIN(len, 42);
        while (n > 1 && n < len && ((unsigned char)text[n] & 0xc0) == 0x80) /* not within a character */
            n--;
        autofree char *word = base64_encode(text, n);
        text += n;
        len -= n;
        buf_printf(out, "=?UTF-8?B?%s?=%s", word, len ? "\r\n " : "\r\n");
    }
}

int mail_compose(const char *from, const struct mail *m, const char *id, char **ret, struct err *err)
{
    char date[64];
    time_t seconds = (time_t)(m->now_ms / 1000);
    struct tm tm;
    struct buf out = BUF_INIT;
    if (!safe_address(m->to) || !safe_address(from))
        return err_set(err, -EINVAL, "%s: is no address that mail can be sent to",
                       safe_address(from) ? "to" : "smtp_from");
    if (strpbrk(m->subject, "\r\n") || strlen(m->subject) > 500 || strlen(m->text) > MAIL_TEXT_MAX)
        return err_set(err, -EINVAL, "the mail's subject or text is too long or has a line end where none may be");
    gmtime_r(&seconds, &tm);
    /* Not by strftime's names, which follow the locale. */
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    snprintf(date, sizeof(date), "%s, %02d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    buf_printf(&out, "From: OwnHouse <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", from, m->to, date, id,
               strchr(from, '@') + 1);
    add_subject(&out, m->subject);
    buf_adds(&out, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
                   "Auto-Submitted: auto-generated\r\n\r\n");
    for (const char *p = m->text; *p; p++) {
        if (*p == '\n')
            buf_adds(&out, "\r\n");
        else if (*p != '\r')
            buf_addc(&out, *p);
    }
    *ret = buf_take(&out);
    return 0;
}

/* ---- sending ---- */

struct upload {
    const char *next;
    size_t left;
};

static size_t give(char *into, size_t size, size_t n, void *data)
{
    struct upload *u = data;
    size_t len = MIN(u->left, size * n);
    memcpy(into, u->next, len);
    u->next += len;
    u->left -= len;
    return len;
}

/* Mail in clear may go no farther than this machine. */
static bool is_local(const char *url)
{
    static const char *const hosts[] = {"smtp://127.0.0.1", "smtp://localhost", "smtp://[::1]"};
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        size_t len = strlen(hosts[i]);
        if (!strncmp(url, hosts[i], len) && (!url[len] || url[len] == ':' || url[len] == '/'))
            return true;
    }
    return false;
}

static int add_credentials(CURL *curl, const struct control_config *c, struct err *err)
{
    char *password = NULL;
    size_t len = 0;
    if (!*c->smtp_user)
        return 0;
    int r = fs_read_secret(c->smtp_password_file, PASSWORD_FILE_MAX, &password, &len, err);
    if (r < 0)
        return err_wrap(err, r, "smtp_password_file %s", c->smtp_password_file);
    password[strcspn(password, "\r\n")] = 0;
    curl_easy_setopt(curl, CURLOPT_USERNAME, c->smtp_user);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, password);
    mem_wipe(password, len);
    free(password);
    return 0;
}

static void set_options(CURL *curl, const struct control_config *c, struct upload *u, char *why)
{
    bool clear = is_local(c->smtp_url) && !*c->smtp_ca_file;
    curl_easy_setopt(curl, CURLOPT_URL, c->smtp_url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)(clear ? CURLUSESSL_TRY : CURLUSESSL_ALL));
    if (*c->smtp_ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, c->smtp_ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)MAIL_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(curl, CURLOPT_READDATA, u);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
}

static int hand_over(const struct control_config *c, const struct mail *m, const char *message, struct err *err)
{
    CURL *curl = curl_easy_init();
    struct upload u = {message, strlen(message)};
    char why[CURL_ERROR_SIZE] = "";
    autofree char *from = mem_printf("<%s>", c->smtp_from), *to = mem_printf("<%s>", m->to);
    struct curl_slist *recipients = curl_slist_append(NULL, to);
    if (!curl || !recipients)
        abort();
    set_options(curl, c, &u, why);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
    int r = add_credentials(curl, c, err);
    if (r == 0) {
        CURLcode code = curl_easy_perform(curl);
        if (code != CURLE_OK)
            r = err_set(err, -EIO, "the mail server %s did not take the mail: %.200s", c->smtp_url,
                        *why ? why : curl_easy_strerror(code));
    }
    curl_slist_free_all(recipients);
    curl_easy_cleanup(curl);
    return r;
}

int mail_send(const struct control_config *c, const struct mail *m, struct err *err)
{
    autofree char *message = NULL;
    char id[UUID_SIZE];
    if (!*c->smtp_url)
        return err_set(err, -ENOENT, "no mail server is configured");
    uuid_new(id);
    int r = mail_compose(c->smtp_from, m, id, &message, err);
    if (r == 0)
        r = hand_over(c, m, message, err);
    if (message)
        mem_wipe(message, strlen(message));
    return r;
}
