// What an address range carries in an AWS account, reckoned as the control plane does (src/cloud/aws/cidr.c), so that
// the figures follow while somebody types or drags.
import { addresses, isAligned, isPrivate, parseNetwork, type Network } from './cidr';

export const WIDEST = 16;
export const NARROWEST = 23;
const ZONES = 3;
const RESERVED = 5; // of each subnet, by AWS
const CONTROL_PLANE = 16; // kept free for the cluster's own interfaces
const SYSTEM_NODES = 6;

export interface Capacity {
  /** Usable in each private subnet. */
  addresses: number;
  /** In all zones. */
  nodes: number;
  /** One replica has a node of its own. */
  replicas: number;
}

/** null: the range is none that an infrastructure on AWS can have. */
export function awsCapacity(range: string): Capacity | null {
  const network = /\//.test(range) ? parseNetwork(range) : null;
  if (!network || !isPrivate(network) || !isAligned(network) || network.bits < WIDEST || network.bits > NARROWEST) return null;
  const usable = 2 ** (32 - network.bits - 2) - RESERVED;
  const blocks = network.bits <= 21; // nodes take blocks of 16; smaller ranges hold single addresses
  const each = Math.trunc((usable - CONTROL_PLANE - (blocks ? 32 : 0)) / (blocks ? 33 : 13));
  const nodes = Math.max(each, 0) * ZONES;
  return { addresses: usable, nodes, replicas: Math.max(nodes - SYSTEM_NODES, 0) };
}

/** The same range with another prefix, begun where that prefix can begin. */
export function withPrefix(range: string, bits: number): string {
  const at: Network = { base: parseNetwork(range)?.base ?? 10 * 2 ** 24, bits };
  const base = at.base - (at.base % addresses(at));
  return [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join('.') + `/${bits}`;
}

/** The letters of the zones that a look ahead has found: "us-east-1a=use1-az1 us-east-1b=use1-az2" → a, b with ids. */
export function zonesFound(found: string, region: string): { letter: string; id: string }[] {
  return found.split(' ').flatMap((part) => {
    const [name, id] = part.split('=');
    const letter = name?.startsWith(region) ? name.slice(region.length) : '';
    return /^[a-f]$/.test(letter) ? [{ letter, id: id ?? '' }] : [];
  });
}
