// One's own account: name, password, authenticator, sessions.
import { useMemo, useState, type FormEvent } from 'react';
import { encode } from 'uqr';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { saveFile } from '../lib/csv';
import { Badge, Button, Card, Empty, Facts, Notice, TextInput, Time } from '../ui/basics';
import { CodeBlock, Copyable } from '../ui/code';
import { Confirm, Dialog } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';
import { announce } from '../ui/toast';
import { NewPassword, passwordError } from './passwords';

type ProfileData = Schemas['Profile'];
type SignedIn = Schemas['SignedIn'];

export function Profile() {
  const { t } = useWords();
  const query = useApi('profileGet');
  return (
    <Page title={t('profile.title')}>
      <Loaded query={query}>
        {(p) => (
          <>
            <div className="oh-cards">
              <Name profile={p as ProfileData} />
              <Password profile={p as ProfileData} />
              <Authenticator profile={p as ProfileData} />
            </div>
            <Sessions />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Name({ profile: p }: { profile: ProfileData }) {
  const { t } = useWords();
  const { ask } = useSession();
  const [name, setName] = useState(p.name);
  const change = useChange('profileUpdate', () => {
    ask();
    announce(t('form.saved'));
  });
  return (
    <Card title={t('profile.about')}>
      <form
        className="oh-form"
        onSubmit={(e) => {
          e.preventDefault();
          change.mutate({ body: { name: name.trim() } });
        }}
      >
        <Facts
          items={[
            [t('signIn.email'), p.email],
            [t('member.joined'), <Time value={p.createdAt} />],
          ]}
        />
        <TextInput label={t('setUp.name')} value={name} onChange={setName} maxLength={100} required autoComplete="name" />
        {change.error && <Problem problem={change.error} />}
        <div className="oh-form-actions">
          <Button submit kind="primary" busy={change.isPending} disabled={name.trim() === p.name || !name.trim()}>
            {t('form.save')}
          </Button>
        </div>
      </form>
    </Card>
  );
}

function Password({ profile: p }: { profile: ProfileData }) {
  const { t } = useWords();
  const { enter } = useSession();
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState({ password: '', again: '' });
  const [tried, setTried] = useState(false);
  const change = useChange('profilePasswordUpdate', (result) => {
    enter(result as unknown as SignedIn);
    setCurrent('');
    setNext({ password: '', again: '' });
    setTried(false);
    announce(t('profile.passwordChanged'));
  });
  function submit(e: FormEvent) {
    e.preventDefault();
    setTried(true);
    if (!passwordError(next.password, next.again)) change.mutate({ body: { ...(p.hasPassword ? { currentPassword: current } : {}), newPassword: next.password } });
  }
  return (
    <Card title={t('signIn.password')}>
      <form className="oh-form" onSubmit={submit} noValidate>
        <input type="hidden" autoComplete="username" value={p.email} readOnly />
        {p.hasPassword && <TextInput label={t('profile.currentPassword')} type="password" autoComplete="current-password" value={current} onChange={setCurrent} required />}
        <NewPassword password={next.password} again={next.again} onChange={(password, again) => setNext({ password, again })} tried={tried} />
        {change.error && <Problem problem={change.error} />}
        <div className="oh-form-actions">
          <Button submit kind="primary" busy={change.isPending}>
            {t('profile.changePassword')}
          </Button>
        </div>
      </form>
    </Card>
  );
}

function Authenticator({ profile: p }: { profile: ProfileData }) {
  const { t } = useWords();
  const [dialog, setDialog] = useState<'' | 'enrol' | 'disable' | 'codes'>('');
  return (
    <Card title={t('totp.title')}>
      <Facts
        items={[
          [t('service.state'), <Badge key="s" text={t(p.totpEnabled ? 'totp.on' : 'totp.off')} state={p.totpEnabled ? 'success' : 'warning'} className="oh-badge" />],
          p.totpEnabled ? [t('totp.codesLeft'), t('totp.codesLeft.n', { n: p.recoveryCodesLeft })] : null,
        ]}
      />
      <p className="oh-muted">{t('totp.what')}</p>
      <div className="oh-actions">
        {p.totpEnabled ? (
          <>
            <Button onClick={() => setDialog('codes')}>{t('totp.newCodes')}</Button>
            <Button onClick={() => setDialog('disable')}>{t('totp.disable')}</Button>
          </>
        ) : (
          <Button onClick={() => setDialog('enrol')}>
            {t('totp.enable')}
          </Button>
        )}
      </div>
      {dialog === 'enrol' && <Enrol profile={p} onClose={() => setDialog('')} />}
      {dialog === 'disable' && <Disable onClose={() => setDialog('')} />}
      {dialog === 'codes' && <NewCodes onClose={() => setDialog('')} />}
    </Card>
  );
}

function QrCode({ text }: { text: string }) {
  const { t } = useWords();
  const { data, size } = encode(text, { border: 2 });
  const path = data.flatMap((row, y) => row.flatMap((on, x) => (on ? [`M${x} ${y}h1v1h-1z`] : []))).join('');
  return (
    <svg className="oh-qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={t('totp.qr')} shapeRendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}

function Codes({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  const { t } = useWords();
  const text = codes.join('\n');
  return (
    <div className="oh-stack">
      <Notice state="warning" title={t('totp.codes')}>
        {t('totp.codes.what')}
      </Notice>
      <CodeBlock text={text} label={t('totp.codes')} />
      <div className="oh-form-actions">
        <Button icon="download" onClick={() => saveFile('ownhouse-recovery-codes.txt', 'text/plain', text + '\n')}>
          {t('action.download')}
        </Button>
        <Button kind="primary" onClick={onClose}>
          {t('key.kept')}
        </Button>
      </div>
    </div>
  );
}

function Enrol({ profile: p, onClose }: { profile: ProfileData; onClose: () => void }) {
  const { t } = useWords();
  const { enter } = useSession();
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [codes, setCodes] = useState<string[] | null>(null);
  const start = useChange('totpEnrol');
  const confirm = useChange('totpConfirm', (result) => {
    const done = result as unknown as Schemas['RecoveryCodes'];
    enter(done.signedIn as SignedIn);
    setCodes(done.recoveryCodes);
  });
  const enrolment = start.data as Schemas['TotpEnrolment'] | undefined;
  return (
    <Dialog title={t('totp.enable')} onClose={onClose}>
      {codes ? (
        <Codes codes={codes} onClose={onClose} />
      ) : enrolment ? (
        <form
          className="oh-form"
          onSubmit={(e) => {
            e.preventDefault();
            confirm.mutate({ body: { totpCode: code.replaceAll(' ', '') } });
          }}
        >
          <p>{t('totp.scan')}</p>
          <QrCode text={enrolment.otpauthUri} />
          <p className="oh-muted">
            {t('totp.orType')} <Copyable text={enrolment.secret} />
          </p>
          <TextInput label={t('signIn.code')} hint={t('signIn.code.hint')} inputMode="numeric" autoComplete="one-time-code" required value={code} onChange={setCode} autoFocus />
          {confirm.error && <Problem problem={confirm.error} />}
          <div className="oh-form-actions">
            <Button submit kind="primary" busy={confirm.isPending}>
              {t('totp.confirm')}
            </Button>
          </div>
        </form>
      ) : (
        <form
          className="oh-form"
          onSubmit={(e) => {
            e.preventDefault();
            start.mutate({ body: { password } });
          }}
        >
          {p.hasPassword && <TextInput label={t('profile.currentPassword')} type="password" autoComplete="current-password" required value={password} onChange={setPassword} autoFocus />}
          {start.error && <Problem problem={start.error} />}
          <div className="oh-form-actions">
            <Button submit kind="primary" busy={start.isPending}>
              {t('action.next')}
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}

/** Password and a code, or a recovery code. */
function useConfirmation() {
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const plain = code.replaceAll(' ', '');
  return { password, setPassword, code, setCode, body: { password, ...(/^\d{6}$/.test(plain) ? { totpCode: plain } : { recoveryCode: code.trim() }) } };
}

function ConfirmationFields({ c }: { c: ReturnType<typeof useConfirmation> }) {
  const { t } = useWords();
  return (
    <>
      <TextInput label={t('profile.currentPassword')} type="password" autoComplete="current-password" value={c.password} onChange={c.setPassword} autoFocus />
      <TextInput label={t('totp.codeOrRecovery')} autoComplete="one-time-code" required value={c.code} onChange={c.setCode} />
    </>
  );
}

function Disable({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const { enter } = useSession();
  const c = useConfirmation();
  const change = useChange('totpDisable', (result) => {
    enter(result as unknown as SignedIn);
    onClose();
  });
  return (
    <Confirm title={t('totp.disable')} act={t('totp.disable')} danger busy={change.isPending} problem={change.error} onClose={onClose} onConfirm={() => change.mutate({ body: c.body })}>
      <p>{t('totp.disable.what')}</p>
      <ConfirmationFields c={c} />
    </Confirm>
  );
}

function NewCodes({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const c = useConfirmation();
  const change = useChange('recoveryCodesCreate');
  const codes = (change.data as unknown as Schemas['RecoveryCodes'] | undefined)?.recoveryCodes;
  if (codes)
    return (
      <Dialog title={t('totp.newCodes')} onClose={onClose}>
        <Codes codes={codes} onClose={onClose} />
      </Dialog>
    );
  return (
    <Confirm title={t('totp.newCodes')} act={t('totp.newCodes')} busy={change.isPending} problem={change.error} onClose={onClose} onConfirm={() => change.mutate({ body: c.body })}>
      <p>{t('totp.newCodes.what')}</p>
      <ConfirmationFields c={c} />
    </Confirm>
  );
}

type Session = Schemas['Session'];

function Sessions() {
  const { t, word } = useWords();
  const query = useApi('sessionGetList');
  const end = useChange('sessionRevoke', () => announce(t('session.ended')));
  const endOthers = useChange('sessionDeleteOthers', () => announce(t('session.ended')));
  const { mutate } = end;
  const columns = useMemo<Column<Session>[]>(() => {
    const signedInBy = (s: Session) => `${word('session.method', s.method)}${s.secondFactor ? ` + ${t('session.code')}` : ''}`;
    return [
      {
        key: 'browser',
        title: t('session.browser'),
        width: 'minmax(10rem, 2fr)',
        value: (s) => browserName(s.userAgent) || t('session.unknown'),
        render: (s) => (
          <span className="oh-tags">
            <strong className="oh-break">{browserName(s.userAgent) || t('session.unknown')}</strong>
            {s.current && <Badge text={t('session.current')} state="success" className="oh-badge" />}
          </span>
        ),
      },
      { key: 'from', title: t('activity.from'), width: '10rem', value: (s) => s.ipAddress, render: (s) => s.ipAddress || '–' },
      { key: 'method', title: t('session.how'), value: (s) => signedInBy(s), render: (s) => signedInBy(s), minor: true },
      { key: 'seen', title: t('session.seen'), width: '10rem', value: (s) => s.lastSeenAt, render: (s) => <Time value={s.lastSeenAt} relative /> },
      { key: 'acts', title: '', width: '6rem', end: true, render: (s) => !s.current && <Button onClick={() => mutate({ path: { sessionId: s.id } })}>{t('session.end')}</Button> },
    ];
  }, [t, word, mutate]);
  return (
    <Card
      title={t('session.title')}
      actions={
        (query.data?.length ?? 0) > 1 && (
          <Button busy={endOthers.isPending} onClick={() => endOthers.mutate({})}>
            {t('session.endOthers')}
          </Button>
        )
      }
    >
      {(end.error || endOthers.error) && <Problem problem={end.error ?? endOthers.error} />}
      <Loaded query={query}>
        {(list) => <List label={t('session.title')} rows={list as Session[]} columns={columns} rowKey={(s) => s.id} sort={{ key: 'seen', down: true }} empty={<Empty title={t('session.none')}>{t('session.none.do')}</Empty>} />}
      </Loaded>
    </Card>
  );
}

/** "Chrome 120 · Linux" out of what the browser says of itself. */
export function browserName(agent: string | undefined): string {
  if (!agent) return '';
  const browser = /(Edg|Firefox|Chrome|Safari|Version)\/(\d+)/.exec(agent.includes('Edg/') ? agent.slice(agent.indexOf('Edg/')) : agent);
  const system = /Windows|Mac OS X|Android|iPhone|iPad|CrOS|Linux/.exec(agent);
  if (!browser) return agent.slice(0, 60);
  const name = { Edg: 'Edge', Version: 'Safari' }[browser[1]!] ?? browser[1]!;
  return `${name} ${browser[2]}${system ? ` · ${system[0]}` : ''}`;
}
