// The link of an invitation: somebody new makes an account, somebody known joins with the one they have.
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState, type FormEvent } from 'react';
import { ApiError, call, type Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { askOnce, comeIn } from '../lib/once';
import { Button, Notice, Skeleton, TextInput } from '../ui/basics';
import { Problem } from '../ui/errors';
import { NewPassword, passwordError } from './passwords';
import { useToken } from './SetUp';
import { Door } from './SignInForm';

export function Invitation() {
  const { t, date } = useWords();
  const { enter } = useSession();
  const navigate = useNavigate();
  const token = useToken();
  const [look, setLook] = useState<Schemas['InvitationLook'] | null>(null);
  const [form, setForm] = useState({ name: '', password: '', again: '', code: '' });
  const [needsCode, setNeedsCode] = useState(false);
  const [tried, setTried] = useState(false);
  const memory = useRef({ lost: false });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => {
    document.title = `${t('invitation.title')} · OwnHouse`;
  }, [t]);
  useEffect(() => {
    if (token) call('invitationLook', { body: { token } }).then(setLook, setProblem);
  }, [token]);

  async function submit(e: FormEvent) {
    e.preventDefault();
    setTried(true);
    if (!look || (!look.hasAccount && passwordError(form.password, form.again))) return;
    setBusy(true);
    setProblem(null);
    try {
      const { name, password } = form;
      const code = form.code ? { totpCode: form.code.replaceAll(' ', '') } : {};
      const answer = await askOnce(
        memory.current,
        () => call('invitationAccept', { body: look.hasAccount ? { token, password, ...code } : { token, name, password } }),
        () => comeIn(look.email, { password, ...code }),
      );
      if (answer.state === 'code-needed') {
        setNeedsCode(true);
        return;
      }
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
      <Door title={t('invitation.title')}>
        <Notice state="warning" title={t('invitation.noToken')}>
          {t('invitation.noToken.do')}
        </Notice>
        <a href="/sign-in">{t('signIn.title')}</a>
      </Door>
    );
  return (
    <Door title={t('invitation.title')} lead={look ? t('invitation.lead', { organization: look.organizationName, email: look.email, date: date(look.expireAt) }) : undefined}>
      {!look && !problem && <Skeleton />}
      {look && (
        <form className="oh-form" onSubmit={(e) => void submit(e)}>
          <input type="hidden" name="username" autoComplete="username" value={look.email} readOnly />
          {look.hasAccount ? (
            <TextInput
              label={t('signIn.password')}
              hint={t('invitation.hasAccount')}
              type="password"
              autoComplete="current-password"
              value={form.password}
              onChange={(password) => setForm({ ...form, password })}
              required
              autoFocus
            />
          ) : (
            <>
              <TextInput label={t('setUp.name')} value={form.name} onChange={(name) => setForm({ ...form, name })} autoComplete="name" required autoFocus maxLength={100} />
              <NewPassword password={form.password} again={form.again} onChange={(password, again) => setForm({ ...form, password, again })} tried={tried} />
            </>
          )}
          {needsCode && (
            <TextInput label={t('signIn.code')} hint={t('signIn.code.hint')} inputMode="numeric" autoComplete="one-time-code" value={form.code} onChange={(code) => setForm({ ...form, code })} required />
          )}
          {problem ? <Problem problem={problem} /> : null}
          <div className="oh-form-actions is-fill">
            <Button submit kind="primary" busy={busy}>
              {t('invitation.act')}
            </Button>
          </div>
        </form>
      )}
      {!look && problem ? (
        problem instanceof ApiError && problem.status === 404 ? (
          <>
            <Notice state="warning" title={t('invitation.gone')}>
              {t('invitation.gone.do')}
            </Notice>
            <a href="/sign-in">{t('signIn.title')}</a>
          </>
        ) : (
          <Problem problem={problem} />
        )
      ) : null}
    </Door>
  );
}
