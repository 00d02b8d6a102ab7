// Networks that may connect.
import { useState } from 'react';
import { useApi } from '../api/hooks';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { isIpSource } from '../lib/cidr';
import type { Entry } from '../lib/patches';
import { Button, IconButton, TextInput } from '../ui/basics';

/** The address that this browser is seen under; "" while it is not known. */
export function useOwnAddress(): string {
  const { can } = useSession();
  const sessions = useApi('sessionGetList', {}, { enabled: can('sessionGetList') });
  return (sessions.data as { current: boolean; ipAddress?: string }[] | undefined)?.find((s) => s.current)?.ipAddress ?? '';
}

export function AccessEditor({ entries, onChange }: { entries: Entry[]; onChange: (entries: Entry[]) => void }) {
  const { t } = useWords();
  const own = useOwnAddress();
  const [source, setSource] = useState('');
  const [description, setDescription] = useState('');
  const [error, setError] = useState('');
  function add(entry: Entry) {
    onChange([...entries.filter((e) => e.source !== entry.source), entry]);
  }
  function submit() {
    const text = source.trim();
    if (!isIpSource(text)) {
      setError(t('access.wrong'));
      return;
    }
    add({ source: text, description: description.trim() });
    setSource('');
    setDescription('');
    setError('');
  }
  return (
    <div className="oh-stack">
      {entries.length === 0 && <p className="oh-muted">{t('access.nobody')}</p>}
      <ul className="oh-lines">
        {entries.map((e) => (
          <li key={e.source}>
            <code>{e.source}</code> <span className="oh-muted">{e.description === 'anywhere' ? t('access.anywhere') : e.description}</span>
            <IconButton icon="trash" label={t('access.remove', { source: e.source })} onClick={() => onChange(entries.filter((x) => x !== e))} />
          </li>
        ))}
      </ul>
      <div className="oh-inline">
        <TextInput
          label={t('access.source')}
          hint={t('access.source.hint')}
          error={error}
          value={source}
          onChange={setSource}
          onKeyDown={(e) => {
            if (e.key === 'Enter') {
              e.preventDefault();
              submit();
            }
          }}
        />
        <TextInput label={t('access.description')} optional value={description} onChange={setDescription} maxLength={256} />
        <Button icon="plus" onClick={submit}>
          {t('access.add')}
        </Button>
      </div>
      <div className="oh-actions">
        {own && !entries.some((e) => e.source === own) && (
          <Button onClick={() => add({ source: own, description: t('access.mine') })}>{t('access.addMine', { address: own })}</Button>
        )}
        {!entries.some((e) => e.source === '0.0.0.0/0') && (
          <Button kind="empty" onClick={() => add({ source: '0.0.0.0/0', description: t('access.anywhere') })}>
            {t('access.addAnywhere')}
          </Button>
        )}
      </div>
    </div>
  );
}
