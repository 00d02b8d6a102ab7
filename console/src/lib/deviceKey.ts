// An API key that is made on the reader's own device: the lines that make it, and their output, hashes only.

export interface KeyHashes {
  keyIdHash: string;
  keyIdSuffix: string;
  keySecretHash: string;
}

/** For a POSIX shell with OpenSSL. The key goes into a file that only its owner may read; what is printed may be pasted. */
export const KEY_LINES = `(umask 077
id=$(openssl rand -hex 10)
secret=$(openssl rand -hex 20)
hash() { printf %s "$1" | openssl dgst -sha256 -binary | base64; }
printf 'key id: %s\\nsecret: %s\\n' "$id" "$secret" > ownhouse-api-key.txt
printf '{"keyIdHash":"%s","keyIdSuffix":"%s","keySecretHash":"%s"}\\n' \\
  "$(hash "$id")" "$(printf %s "$id" | tail -c 4)" "$(hash "$secret")")`;

/** What the lines printed; null if it is anything else, so that a key pasted by mistake is not sent. */
export function readHashes(text: string): KeyHashes | null {
  let v: Record<string, unknown>;
  try {
    v = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
  const is = (name: string, form: RegExp) => typeof v?.[name] === 'string' && form.test(v[name]);
  const hash = /^[A-Za-z0-9+/]{43}=$/;
  if (!is('keyIdHash', hash) || !is('keySecretHash', hash) || !is('keyIdSuffix', /^[A-Za-z0-9]{4}$/)) return null;
  return { keyIdHash: v['keyIdHash'] as string, keyIdSuffix: v['keyIdSuffix'] as string, keySecretHash: v['keySecretHash'] as string };
}
