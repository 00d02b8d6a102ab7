// Address, password, and a code where the account has an authenticator; alone on a page, or over one whose session ended.
import { useState, type FormEvent, type ReactNode } from 'react';
import { call, type ApiError, type Schemas } from '../api/client';
import { useWords } from '../i18n';
import { Button, Notice, TextInput } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { Problem } from '../ui/errors';
import { ThemeAndLanguage } from '../app/layout';

type SignedIn = Schemas['SignedIn'];

export function SignInForm({ email: fixed, onDone, children }: { email?: string; onDone: (signedIn: SignedIn) => void; children?: ReactNode }) {
  const { t } = useWords();
  const [email, setEmail] = useState(fixed ?? '');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [needsCode, setNeedsCode] = useState(false);
  const [recovery, setRecovery] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ApiError | null>(null);

  async function submit(e: FormEvent) {
    e.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const second = !needsCode || !code ? {} : recovery ? { recoveryCode: code.trim() } : { totpCode: code.replaceAll(' ', '') };
      const answer = await call('sessionCreate', { body: { email, password, ...second } });
      if (answer.state === 'code-needed') setNeedsCode(true);
      else onDone(answer.signedIn as SignedIn);
    } catch (e) {
      setProblem(e as ApiError);
    } finally {
      setBusy(false);
    }
  }

  return (
    <form className="oh-form" onSubmit={(e) => void submit(e)}>
      <TextInput label={t('signIn.email')} type="email" value={email} onChange={setEmail} autoComplete="username" required readOnly={!!fixed} autoFocus={!fixed} />
      <TextInput label={t('signIn.password')} type="password" value={password} onChange={setPassword} autoComplete="current-password" required autoFocus={!!fixed} />
      {needsCode && (
        <>
          <TextInput
            label={t(recovery ? 'signIn.recoveryCode' : 'signIn.code')}
            hint={t(recovery ? 'signIn.recoveryCode.hint' : 'signIn.code.hint')}
            value={code}
            onChange={setCode}
            inputMode={recovery ? 'text' : 'numeric'}
            autoComplete="one-time-code"
            required
            autoFocus
          />
          <button
            type="button"
            className="oh-link"
            onClick={() => {
              setRecovery(!recovery);
              setCode('');
            }}
          >
            {t(recovery ? 'signIn.useCode' : 'signIn.useRecovery')}
          </button>
        </>
      )}
      {problem &&
        (problem.status === 401 ? <Notice state="danger">{t(needsCode && code ? 'signIn.wrongCode' : 'signIn.wrong')}</Notice> : <Problem problem={problem} />)}
      <div className="oh-form-actions is-fill">
        <Button submit kind="primary" busy={busy}>
          {t('signIn.act')}
        </Button>
      </div>
      {children}
    </form>
  );
}

/** Over the page: what was typed there stays, and what was asked for is asked again. */
export function SignInAgain({ email, onDone, onLeave }: { email: string; onDone: (signedIn: SignedIn) => void; onLeave: () => void }) {
  const { t } = useWords();
  return (
    <Dialog title={t('signIn.again')} onClose={onLeave}>
      <p className="oh-muted">{t('signIn.again.why')}</p>
      <SignInForm email={email} onDone={onDone} />
    </Dialog>
  );
}

/** A page for people who are not signed in. */
export function Door({ title, lead, children }: { title: string; lead?: ReactNode; children: ReactNode }) {
  return (
    <div className="oh-door">
      <main>
        <div className="oh-brand">
          <img src="/favicon.svg" alt="" width="32" height="32" /> OwnHouse
        </div>
        <h1>{title}</h1>
        {lead && <p className="oh-lead">{lead}</p>}
        {children}
      </main>
      <footer>
        <ThemeAndLanguage />
      </footer>
    </div>
  );
}
