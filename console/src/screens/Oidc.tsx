// Back from the identity provider.
import { useRouter } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { call, type Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Notice, Skeleton } from '../ui/basics';
import { Problem } from '../ui/errors';
import { safePath } from './paths';
import { Door } from './SignInForm';

export function Oidc() {
  const { t } = useWords();
  const { enter } = useSession();
  const router = useRouter();
  const begun = useRef(false);
  const [problem, setProblem] = useState<unknown>(null);
  const [refused, setRefused] = useState('');
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    const answer = new URLSearchParams(location.search);
    history.replaceState(history.state, '', location.pathname);
    if (answer.get('error')) {
      setRefused(answer.get('error_description') ?? answer.get('error') ?? '');
      return;
    }
    const iss = answer.get('iss');
    call('oidcFinish', { body: { code: answer.get('code') ?? '', state: answer.get('state') ?? '', ...(iss ? { iss } : {}) } })
      .then((found) => {
        enter((found as { signedIn: Schemas['SignedIn'] }).signedIn);
        router.history.replace(safePath(sessionStorage.getItem('ownhouse-oidc-to') ?? '/'));
      })
      .catch(setProblem);
  }, [enter, router]);
  return (
    <Door title={t('oidc.title')}>
      {refused ? (
        <Notice state="danger" title={t('oidc.refused')}>
          {refused}
        </Notice>
      ) : problem ? (
        <Problem problem={problem} />
      ) : (
        <Skeleton />
      )}
      {(refused || !!problem) && <a href="/sign-in">{t('signIn.title')}</a>}
    </Door>
  );
}
