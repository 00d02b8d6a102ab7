// IPv4 networks: what somebody typed, and how much fits.

export interface Network {
  base: number;
  bits: number;
}

export function parseNetwork(text: string): Network | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text.trim());
  if (!match) return null;
  const parts = match.slice(1, 5).map(Number);
  const bits = match[5] === undefined ? 32 : Number(match[5]);
  if (parts.some((p) => p > 255) || bits > 32) return null;
  return { base: parts.reduce((sum, p) => sum * 256 + p, 0), bits };
}

/** 2^(32-bits). */
export function addresses(network: Network): number {
  return 2 ** (32 - network.bits);
}

/** Is the last bit of the base within the prefix? 10.0.0.1/8 is not a network. */
export function isAligned(network: Network): boolean {
  return network.base % addresses(network) === 0;
}

const PRIVATE: Network[] = [
  { base: 10 * 2 ** 24, bits: 8 },
  { base: 172 * 2 ** 24 + 16 * 2 ** 16, bits: 12 },
  { base: 192 * 2 ** 24 + 168 * 2 ** 16, bits: 16 },
];

export function isPrivate(network: Network): boolean {
  return PRIVATE.some(
    (p) => network.bits >= p.bits && network.base >= p.base && network.base < p.base + addresses(p),
  );
}

export function isIpSource(text: string): boolean {
  if (text === 'anywhere' || parseNetwork(text)) return true;
  return /^[0-9a-fA-F:]*:[0-9a-fA-F:.]*(\/\d{1,3})?$/.test(text) && text.length <= 49;
}
