// Approving with a signature: the file to sign, the command that signs it elsewhere, and where the signature comes back.
import { useEffect, useState, type DragEvent } from 'react';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords, type Key } from '../i18n';
import { commandLine, digestOf, nameOfKey, readApproval, readSignature, signingFile } from '../lib/consent';
import { saveFile } from '../lib/csv';
import { Badge, Button, Card, Notice, TextArea, Time } from '../ui/basics';
import { CodeBlock, Copyable } from '../ui/code';
import { Problem } from '../ui/errors';

const LARGEST_FILE = 64 * 1024;

/** The digest of the document, worked out in this browser: '' until it is, and whether it is the one that the API says. */
export function useDigest(document: unknown, said: string): { digest: string; agrees: boolean } {
  const [digest, setDigest] = useState('');
  useEffect(() => {
    let current = true;
    void digestOf(document).then((d) => current && setDigest(d));
    return () => {
      current = false;
    };
  }, [document]);
  return { digest, agrees: !digest || digest === said };
}

export function Digest({ document, said }: { document: unknown; said: string }) {
  const { t } = useWords();
  const { digest, agrees } = useDigest(document, said);
  return (
    <span className="oh-block">
      <Copyable text={said} />
      <span className="oh-hint">{digest && agrees ? t('sign.digest.computed') : ''}</span>
    </span>
  );
}

export function DigestWarning({ document, said }: { document: unknown; said: string }) {
  const { t } = useWords();
  const { digest, agrees } = useDigest(document, said);
  return agrees ? null : <Notice state="danger" title={t('sign.digest.wrong')}>{t('sign.digest.wrong.do', { digest })}</Notice>;
}

/** How many signatures of how many, in words as well as in a bar. */
export function Count({ have, need }: { have: number; need: number }) {
  const { t } = useWords();
  if (!need) return <span className="oh-muted">{t('sign.none')}</span>;
  return <Badge text={t('sign.count', { have: Math.min(have, need), need })} state={have >= need ? 'success' : 'warning'} className="oh-badge" />;
}

/** Who has signed, by the names of the policy that the data plane reported. */
export function Signatures({ infrastructureId, approvals }: { infrastructureId: string; approvals: unknown[] }) {
  const { t } = useWords();
  const { can } = useSession();
  const consent = useApi('consentGet', { path: { infrastructureId } }, { enabled: can('consentGet') });
  const policy = (consent.data as Schemas['Consent'] | undefined)?.policy;
  if (!approvals.length) return <p className="oh-muted">{t('sign.nobody')}</p>;
  return (
    <ul className="oh-lines">
      {approvals.map((one, i) => {
        const a = readApproval(one);
        const known = nameOfKey(policy, a.by);
        return (
          <li key={i}>
            <Badge text={t(a.verdict === 'deny' ? 'sign.denied' : 'sign.approved')} state={a.verdict === 'deny' ? 'danger' : 'success'} className="oh-badge" />
            <span className="oh-break">
              {known ? `${known.name} (${t(known.side === 'vendors' ? 'sign.vendor' : 'sign.customer')})` : t(policy ? 'sign.unknownKey' : 'sign.someKey')}
            </span>
            <code className="oh-muted" title={a.by}>{`${a.by.slice(0, 12)}…`}</code>
            <span className="oh-line-end oh-muted">
              <Time value={a.at} />
            </span>
          </li>
        );
      })}
    </ul>
  );
}

interface SignHereProps {
  kind: 'request' | 'plan';
  id: string;
  digest: string;
  document: unknown;
  approvals: unknown[];
  /** The digest alone would do: folded away, and no second main act on the page. */
  optional?: boolean;
  busy: boolean;
  problem: unknown;
  onSignature: (approval: Record<string, unknown>) => void;
}

/** Three steps, none of which lets a private key near this page. */
export function SignHere({ kind, id, digest, document, approvals, optional, busy, problem, onSignature }: SignHereProps) {
  const { t } = useWords();
  const [pasted, setPasted] = useState('');
  const [error, setError] = useState('');
  const [over, setOver] = useState(false);
  const file = signingFile(kind, id, document, approvals);
  const found = pasted.trim() ? readSignature(pasted, id, digest) : null;

  useEffect(() => {
    // A key that was pasted by mistake does not stay on the screen.
    if (found && 'problem' in found && found.problem === 'key') {
      setPasted('');
      setError(t('sign.problem.key'));
    }
  }, [found, t]);

  function take(text: string) {
    setPasted(text);
    setError('');
  }
  async function takeFile(one: File | undefined) {
    if (!one) return;
    if (one.size > LARGEST_FILE) setError(t('sign.problem.large'));
    else take(await one.text());
  }
  function submit() {
    if (!found) setError(t('sign.problem.empty'));
    else if ('problem' in found) setError(t(`sign.problem.${found.problem}` as Key));
    else onSignature(found.approval);
  }
  const steps = (
    <>
      <p className="oh-muted">{t('sign.why')}</p>
      <ol className="oh-numbered">
        <li>
          <p>{t('sign.step.file')}</p>
          <Button icon="download" onClick={() => saveFile(file.name, 'application/json', file.text)}>
            {t('sign.download')}
          </Button>
        </li>
        <li>
          <p>{t('sign.step.sign')}</p>
          <CodeBlock label={t('sign.command')} text={commandLine(['ownhouse', 'approve', '--request', file.name, '--key', 'approver.key', '--out', 'signature.json'])} />
          {kind === 'request' && <p className="oh-hint">{t('sign.step.deny', { command: 'ownhouse deny' })}</p>}
        </li>
        <li>
          <div
            className={`oh-drop ${over ? 'is-over' : ''}`}
            onDragOver={(e: DragEvent) => {
              e.preventDefault();
              setOver(true);
            }}
            onDragLeave={() => setOver(false)}
            onDrop={(e: DragEvent) => {
              e.preventDefault();
              setOver(false);
              const dropped = e.dataTransfer.files[0];
              if (dropped) void takeFile(dropped);
              else take(e.dataTransfer.getData('text'));
            }}
          >
            <TextArea label={t('sign.paste')} hint={t('sign.paste.hint')} error={error || undefined} value={pasted} onChange={take} rows={4} spellCheck={false} autoComplete="off" className="oh-input oh-textarea is-mono" />
            <label className="oh-file">
              {t('sign.choose')}
              <input
                type="file"
                className="oh-hidden"
                accept=".json,application/json,text/plain"
                onChange={(e) => {
                  void takeFile(e.target.files?.[0]);
                  e.target.value = '';
                }}
              />
            </label>
          </div>
          {problem ? <Problem problem={problem} /> : null}
          <div className="oh-form-actions">
            <Button kind={found && 'verdict' in found && found.verdict === 'deny' ? 'danger' : optional ? 'secondary' : 'primary'} busy={busy} onClick={submit}>
              {t(found && 'verdict' in found ? (found.verdict === 'deny' ? 'sign.act.deny' : 'sign.act.approve') : 'sign.act')}
            </Button>
          </div>
        </li>
      </ol>
      <details>
        <summary>{t('sign.direct')}</summary>
        <CodeBlock label={t('sign.direct')} text={commandLine(['ownhouse', 'approve', id])} />
      </details>
    </>
  );
  if (optional)
    return (
      <details className="oh-card">
        <summary>{t('sign.optional')}</summary>
        <div className="oh-sign">{steps}</div>
      </details>
    );
  return (
    <Card title={t('sign.title')} className="oh-sign">
      {steps}
    </Card>
  );
}
