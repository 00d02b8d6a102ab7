// What policies allow, worked out as the server does: nothing unless allowed, and DENY beats every ALLOW.

export interface Policy {
  allowDeny: 'ALLOW' | 'DENY';
  permissions: string[];
  resources: string[];
}

export interface Effective {
  permission: string;
  /** Resources on which it holds; empty: nowhere. */
  allowed: string[];
  /** Resources taken away again. */
  denied: string[];
}

/** `permission` as a policy may name it: itself, or with a star for its last parts. */
function names(pattern: string, permission: string): boolean {
  return pattern === permission || (pattern.endsWith('*') && permission.startsWith(pattern.slice(0, -1)));
}

export function effective(policies: Policy[], permissions: string[]): Effective[] {
  return permissions.map((permission) => {
    const of = (kind: 'ALLOW' | 'DENY') => [
      ...new Set(
        policies
          .filter((p) => p.allowDeny === kind && p.permissions.some((n) => names(n, permission)))
          .flatMap((p) => p.resources),
      ),
    ];
    const denied = of('DENY');
    return { permission, denied, allowed: of('ALLOW').filter((r) => !denied.includes(r) && !denied.some((d) => covers(d, r))) };
  });
}

/** instance/* covers instance/UUID. */
export function covers(wide: string, narrow: string): boolean {
  return wide.endsWith('/*') && narrow.startsWith(wide.slice(0, -1));
}

/** What a permission is about, so that a policy names resources that fit. */
export function resourceKind(permission: string): 'instance' | 'organization' {
  return permission.startsWith('control-plane:service:') ? 'instance' : 'organization';
}
