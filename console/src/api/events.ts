// Listens for changes; where no stream can be had, asks every few seconds instead.
import type { QueryClient } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';

const PACE_MS = 300;
const POLL_MS = 5000;
const BACKOFF_LAST_MS = 15000;

export type Liveness = 'live' | 'connecting' | 'polling';

let liveness: Liveness = 'connecting';
const listeners = new Set<() => void>();

function say(next: Liveness) {
  if (liveness === next) return;
  liveness = next;
  for (const listener of listeners) listener();
}

export function useLiveness(): Liveness {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => liveness,
  );
}

/** Delay before the n-th try in a row (from 0), with up to a quarter more so that many browsers do not come at once. */
export function backoff(n: number, random: () => number): number {
  return Math.min(1000 * 2 ** n, BACKOFF_LAST_MS) * (1 + random() / 4);
}

/** Until the returned function is called. Who may not hear events (`hears`) only asks every few seconds. */
export function listen(organization: string, client: QueryClient, hears: boolean): () => void {
  let source: EventSource | null = null;
  let ended = false;
  let tries = 0;
  let pending: ReturnType<typeof setTimeout> | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;

  function refresh() {
    pending ??= setTimeout(() => {
      pending = undefined;
      void client.invalidateQueries({ refetchType: 'active' });
    }, PACE_MS);
  }
  function open() {
    again = undefined;
    source = new EventSource(`/v1/organizations/${organization}/events`);
    source.addEventListener('change', refresh);
    source.onopen = () => {
      tries = 0;
      say('live');
    };
    source.onerror = () => {
      // A refusal or a restart closes it for good; the browser would not try again.
      source?.close();
      if (ended || again) return;
      say(tries > 1 ? 'polling' : 'connecting');
      again = setTimeout(open, backoff(tries++, Math.random));
    };
  }
  const poll = setInterval(() => liveness !== 'live' && document.visibilityState === 'visible' && refresh(), POLL_MS);
  if (hears) open();
  else say('polling');
  return () => {
    ended = true;
    source?.close();
    clearInterval(poll);
    clearTimeout(again);
    clearTimeout(pending);
    say('connecting');
  };
}
