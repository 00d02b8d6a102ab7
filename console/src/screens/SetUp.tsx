// The set-up link: the first administrator takes the account over.
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState, type FormEvent } from 'react';
import { call } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { askOnce, comeIn } from '../lib/once';
import { Button, Notice, TextInput } from '../ui/basics';
import { Problem } from '../ui/errors';
import { NewPassword, passwordError } from './passwords';
import { Door } from './SignInForm';

/** The token behind #, taken out of the address bar and the history at once. */
export function useToken(): string {
  const [token] = useState(() => location.hash.slice(1).replace(/^token=/, ''));
  useEffect(() => {
    if (location.hash) history.replaceState(history.state, '', location.pathname + location.search);
  }, []);
  return token;
}

export function SetUp() {
  const { t } = useWords();
  const { enter } = useSession();
  const navigate = useNavigate();
  const token = useToken();
  const [form, setForm] = useState({ name: '', email: '', password: '', again: '' });
  const [tried, setTried] = useState(false);
  const memory = useRef({ lost: false });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => {
    document.title = `${t('setUp.title')} · OwnHouse`;
  }, [t]);

  async function submit(e: FormEvent) {
    e.preventDefault();
    setTried(true);
    if (passwordError(form.password, form.again)) return;
    setBusy(true);
    setProblem(null);
    try {
      const { name, email, password } = form;
      const answer = await askOnce(
        memory.current,
        () => call('setUp', { body: { token, password, name, email } }),
        () => comeIn(email, { password }),
      );
      enter(answer.signedIn!);
      await navigate({ to: '/', replace: true });
    } catch (e) {
      setProblem(e);
    } finally {
      setBusy(false);
    }
  }

  if (!token)
    return (
      <Door title={t('setUp.title')}>
        <Notice state="warning" title={t('setUp.noToken')}>
          {t('setUp.noToken.do')}
        </Notice>
        <a href="/sign-in">{t('signIn.title')}</a>
      </Door>
    );
  return (
    <Door title={t('setUp.title')} lead={t('setUp.lead')}>
      <form className="oh-form" onSubmit={(e) => void submit(e)}>
        <TextInput label={t('setUp.name')} value={form.name} onChange={(name) => setForm({ ...form, name })} autoComplete="name" required autoFocus maxLength={100} />
        <TextInput label={t('signIn.email')} type="email" value={form.email} onChange={(email) => setForm({ ...form, email })} autoComplete="username" required hint={t('setUp.email.hint')} />
        <NewPassword password={form.password} again={form.again} onChange={(password, again) => setForm({ ...form, password, again })} tried={tried} />
        {problem ? <Problem problem={problem} /> : null}
        <div className="oh-form-actions is-fill">
          <Button submit kind="primary" busy={busy}>
            {t('setUp.act')}
          </Button>
        </div>
      </form>
    </Door>
  );
}
