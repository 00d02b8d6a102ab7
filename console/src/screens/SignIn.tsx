// The first page.
import { useRouter, useSearch } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { call } from '../api/client';
import { useApi } from '../api/hooks';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Button } from '../ui/basics';
import { Problem } from '../ui/errors';
import { safePath } from './paths';
import { Door, SignInForm } from './SignInForm';

export function SignIn() {
  const { t } = useWords();
  const { state, enter } = useSession();
  const { to } = useSearch({ strict: false }) as { to?: string };
  const router = useRouter();
  const methods = useApi('signInMethodsGet');
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => {
    if (state === 'in') router.history.replace(safePath(to));
  }, [state, to, router]);
  useEffect(() => {
    document.title = `${t('signIn.title')} · OwnHouse`;
  }, [t]);
  const oidc = methods.data?.oidc;
  return (
    <Door title={t('signIn.title')} lead={t('signIn.lead')}>
      <SignInForm onDone={enter} />
      {oidc && (
        <div className="oh-form">
          <div className="oh-or">{t('signIn.or')}</div>
          <Button
            onClick={() => {
              sessionStorage.setItem('ownhouse-oidc-to', safePath(to));
              call('oidcStart')
                .then((start) => location.assign(start.url))
                .catch(setProblem);
            }}
          >
            {t('signIn.oidc', { name: (oidc as { name: string }).name })}
          </Button>
          {problem ? <Problem problem={problem} /> : null}
        </div>
      )}
      <p className="oh-hint">{t('signIn.forgot')}</p>
    </Door>
  );
}
