// Who is signed in, and signing in again without losing what is on the screen.
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { ApiError, call, context, permissionOf, type Operation, type Schemas } from '../api/client';
import { listen } from '../api/events';
import { SignInAgain } from '../screens/SignInForm';

type SignedIn = Schemas['SignedIn'];
type Organization = SignedIn['organizations'][number];

interface Session {
  state: 'asking' | 'out' | 'in' | 'unreachable';
  problem: unknown;
  signedIn: SignedIn | null;
  organization: Organization | null;
  enter: (signedIn: SignedIn) => void;
  leave: () => Promise<void>;
  choose: (organization: string) => void;
  ask: () => void;
  /** May this operation be called, as far as the roles say? The server decides anyway. */
  can: (operation: Operation) => boolean;
}

const Context = createContext<Session | null>(null);
const KEY = 'ownhouse-organization';
// Set while somebody is signed in here, so that a browser that never was does not ask in vain.
const HINT = 'ownhouse-signed-in';

export function useSession(): Session {
  const session = useContext(Context);
  if (!session) throw new Error('no session');
  return session;
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const [state, setState] = useState<Session['state']>('asking');
  const [problem, setProblem] = useState<unknown>(null);
  const [signedIn, setSignedIn] = useState<SignedIn | null>(null);
  const [chosen, setChosen] = useState(() => localStorage.getItem(KEY) ?? '');
  const [again, setAgain] = useState(false);
  const waiting = useRef<{ promise: Promise<boolean>; done: (ok: boolean) => void } | null>(null);
  const client = useQueryClient();

  const organization = signedIn?.organizations.find((o) => o.id === chosen) ?? signedIn?.organizations[0] ?? null;
  context.organization = organization?.id ?? '';

  const enter = useCallback((next: SignedIn) => {
    context.csrf = next.csrfToken;
    localStorage.setItem(HINT, '1');
    setSignedIn(next);
    setState('in');
  }, []);

  const ask = useCallback(() => {
    if (!localStorage.getItem(HINT)) {
      setState('out');
      return;
    }
    call('sessionGet')
      .then((found) => enter(found as SignedIn))
      .catch((e: unknown) => {
        const out = e instanceof ApiError && e.status === 401;
        if (out) localStorage.removeItem(HINT);
        setProblem(e);
        setState(out ? 'out' : 'unreachable');
      });
  }, [enter]);

  useEffect(ask, [ask]);

  // Roles and names may change while the page is open.
  useEffect(() => {
    if (state === 'unreachable') {
      const timer = setTimeout(ask, 3000);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [state, ask, problem]);

  useEffect(() => {
    context.reauthenticate = () => {
      if (!waiting.current) {
        let done: (ok: boolean) => void = () => undefined;
        const promise = new Promise<boolean>((resolve) => (done = resolve));
        waiting.current = { promise, done };
        setAgain(true);
      }
      return waiting.current.promise;
    };
    return () => {
      context.reauthenticate = null;
    };
  }, []);

  const organizationId = organization?.id;
  const hears = !!organization?.permissions.includes(permissionOf('eventsGet'));
  useEffect(() => {
    if (state !== 'in' || !organizationId || again) return undefined;
    return listen(organizationId, client, hears);
  }, [state, organizationId, again, client, hears]);

  const finish = (ok: boolean) => {
    setAgain(false);
    waiting.current?.done(ok);
    waiting.current = null;
  };

  const session = useMemo<Session>(
    () => ({
      state,
      problem,
      signedIn,
      organization,
      enter,
      ask,
      leave: async () => {
        await call('sessionDelete').catch(() => undefined);
        localStorage.removeItem(HINT);
        context.csrf = '';
        setSignedIn(null);
        setState('out');
        client.clear();
      },
      choose: (id) => {
        localStorage.setItem(KEY, id);
        client.clear();
        setChosen(id);
      },
      can: (operation) => {
        const permission = permissionOf(operation);
        return permission === '' || permission === 'signed-in' || !!organization?.permissions.includes(permission);
      },
    }),
    [state, problem, signedIn, organization, enter, ask, client],
  );

  return (
    <Context.Provider value={session}>
      {children}
      {again && signedIn && (
        <SignInAgain
          email={signedIn.profile.email}
          onDone={(next) => {
            enter(next);
            finish(true);
            void client.invalidateQueries();
          }}
          onLeave={() => {
            localStorage.removeItem(HINT);
            context.csrf = '';
            finish(false);
            setSignedIn(null);
            setState('out');
            client.clear();
          }}
        />
      )}
    </Context.Provider>
  );
}
