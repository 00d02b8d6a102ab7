// Secrets that are made in the page: only their hashes leave it.
const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';

/** `length` letters and digits, each equally likely, without those that look alike. */
export function randomText(length: number): string {
  let text = '';
  const limit = 256 - (256 % LETTERS.length);
  while (text.length < length)
    for (const byte of crypto.getRandomValues(new Uint8Array(length)))
      if (byte < limit && text.length < length) text += LETTERS[byte % LETTERS.length];
  return text;
}

async function digest(algorithm: 'SHA-1' | 'SHA-256', data: BufferSource): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(algorithm, data));
}

export async function sha256Base64(text: string): Promise<string> {
  return btoa(String.fromCharCode(...(await digest('SHA-256', new TextEncoder().encode(text)))));
}

/** SHA-1 of the SHA-1, hex: what the MySQL protocol compares. */
export async function doubleSha1Hex(text: string): Promise<string> {
  const once = await digest('SHA-1', new TextEncoder().encode(text));
  return [...(await digest('SHA-1', once as BufferSource))].map((b) => b.toString(16).padStart(2, '0')).join('');
}

export async function passwordHashes(password: string) {
  return { newPasswordHash: await sha256Base64(password), newDoubleSha1Hash: await doubleSha1Hex(password) };
}

/** An API key whose id and secret nobody else has: both, and what the API is sent. */
export async function makeKey() {
  const keyId = randomText(20);
  const keySecret = randomText(40);
  return {
    keyId,
    keySecret,
    hashData: {
      keyIdHash: await sha256Base64(keyId),
      keyIdSuffix: keyId.slice(-4),
      keySecretHash: await sha256Base64(keySecret),
    },
  };
}
