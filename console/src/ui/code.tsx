// Text that is there to be copied.
import { useState } from 'react';
import { useWords } from '../i18n';
import { Button, IconButton } from './basics';
import { announce } from './toast';

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

export function useCopy(): [boolean, (text: string) => void] {
  const [copied, setCopied] = useState(false);
  const { t } = useWords();
  return [
    copied,
    (text) =>
      void copy(text).then((done) => {
        setCopied(done);
        announce(done ? t('copy.done') : t('copy.failed'), done ? 'success' : 'warning');
        if (done) setTimeout(() => setCopied(false), 2000);
      }),
  ];
}

export function CodeBlock({ text, label }: { text: string; label: string }) {
  const [copied, put] = useCopy();
  const { t } = useWords();
  return (
    <div className="oh-code">
      <pre className="oh-pre" tabIndex={0} role="region" aria-label={label}>
        <code>{text}</code>
      </pre>
      <Button icon={copied ? 'check' : 'copy'} onClick={() => put(text)}>
        {copied ? t('copy.done') : t('copy.act')}
      </Button>
    </div>
  );
}

/** An identifier or address with a button beside it. */
export function Copyable({ text, shown }: { text: string; shown?: string }) {
  const [copied, put] = useCopy();
  const { t } = useWords();
  return (
    <span className="oh-copyable">
      <code title={text}>{shown ?? text}</code>
      <IconButton icon={copied ? 'check' : 'copy'} label={t('copy.this', { text: shown ?? text })} onClick={() => put(text)} />
    </span>
  );
}
