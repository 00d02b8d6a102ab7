// Calls of the public API: shapes and paths are generated from api/openapi.json, nothing is written here by hand.
import type { components, operations } from './generated/schema';
import { table } from './generated/table';

export type Schemas = components['schemas'];
export type Operation = keyof typeof table & keyof operations;

type Json<T> = T extends { content: { 'application/json': infer J } } ? J : never;
type Answer<O extends Operation> = operations[O] extends { responses: { 200: infer R } } ? Json<R> : never;
export type Result<O extends Operation> = Answer<O> extends { result?: infer R } ? R : undefined;
type Body<O extends Operation> = operations[O] extends { requestBody: infer B }
  ? Json<B>
  : operations[O] extends { requestBody?: infer B }
    ? Json<NonNullable<B>>
    : never;
type PathOf<O extends Operation> = operations[O]['parameters'] extends { path: infer P } ? Omit<P, 'organizationId'> : unknown;
type QueryOf<O extends Operation> = operations[O]['parameters'] extends { query?: infer Q } ? NonNullable<Q> : never;

export interface Input<O extends Operation> {
  path?: PathOf<O>;
  query?: QueryOf<O>;
  body?: Body<O>;
  idempotencyKey?: string;
}

/** What the API refused, or that it could not be reached (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly requestId: string,
    readonly retryAfter = 0,
  ) {
    super(message);
  }
  /** The field that a 400 names before its colon, as in `name: must not be blank`. */
  get field(): string {
    return this.status === 400 ? (/^([A-Za-z0-9_.[\]]+): /.exec(this.message)?.[1] ?? '') : '';
  }
  get temporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** What the session says; set by the sign-in, read by every call. */
export const context = {
  organization: '',
  csrf: '',
  /** Asks the person to sign in again over what is on the screen; resolves when a call may be tried once more. */
  reauthenticate: null as null | (() => Promise<boolean>),
};

export function permissionOf(operation: Operation): string {
  return table[operation][2];
}

function address(template: string, path: Record<string, string>, query: Record<string, unknown> | undefined): string {
  const all: Record<string, string> = { organizationId: context.organization, ...path };
  let url = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(all[name] ?? ''));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined && one !== '') search.append(name, String(one));
  const text = search.toString();
  if (text) url += '?' + text;
  return url;
}

async function once(operation: Operation, input: Input<Operation>, signal?: AbortSignal): Promise<unknown> {
  const [method, template, , , takesBody] = table[operation];
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== ('GET' as string)) headers['X-OwnHouse-CSRF'] = context.csrf;
  if (takesBody) headers['Content-Type'] = 'application/json';
  if (input.idempotencyKey) headers['Idempotency-Key'] = input.idempotencyKey;
  let response: Response;
  try {
    response = await fetch(address(template, (input.path ?? {}) as Record<string, string>, input.query as never), {
      method,
      headers,
      body: takesBody ? JSON.stringify(input.body ?? {}) : undefined,
      credentials: 'same-origin',
      signal,
    });
  } catch (problem) {
    if (signal?.aborted) throw problem;
    throw new ApiError(0, '', '');
  }
  const text = await response.text();
  let answer: { error?: string; requestId?: string } = {};
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    // A proxy's page instead of the API's answer: the status says enough.
  }
  if (!response.ok)
    throw new ApiError(
      response.status,
      answer.error ?? '',
      answer.requestId ?? response.headers.get('X-Request-Id') ?? '',
      Number(response.headers.get('Retry-After') ?? 0),
    );
  return answer;
}

/** One call. A 401 in a session that has ended asks to sign in again, then repeats the call once. */
export async function call<O extends Operation>(operation: O, input: Input<O> = {}, signal?: AbortSignal): Promise<Result<O>> {
  const open = table[operation][3];
  try {
    return ((await once(operation, input as Input<Operation>, signal)) as { result: Result<O> }).result;
  } catch (problem) {
    const ended = problem instanceof ApiError && problem.status === 401 && !open && context.csrf && context.reauthenticate;
    if (!ended || !(await context.reauthenticate!())) throw problem;
    return ((await once(operation, input as Input<Operation>, signal)) as { result: Result<O> }).result;
  }
}
