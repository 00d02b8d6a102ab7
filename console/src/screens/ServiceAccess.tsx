// Networks that may connect to a service.
import { useState } from 'react';
import { useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { accessPatch, type Entry } from '../lib/patches';
import { Button, Card, Notice } from '../ui/basics';
import { Problem } from '../ui/errors';
import { announce } from '../ui/toast';
import { AccessEditor } from './AccessList';

export function ServiceAccess({ service: s }: { service: Schemas['Service'] }) {
  const { t } = useWords();
  const { can } = useSession();
  const saved = (s.ipAccessList ?? []) as Entry[];
  // What was there when editing began: another browser's change is shown, not lost.
  const [draft, setDraft] = useState<{ from: Entry[]; to: Entry[] } | null>(null);
  const change = useChange('instanceUpdate', () => {
    setDraft(null);
    announce(t('form.saved'));
  });
  const entries = draft?.to ?? saved;
  const moved = draft && JSON.stringify(draft.from) !== JSON.stringify(saved);
  const patch = draft && accessPatch(draft.from, draft.to);
  const changed = !!patch && patch.add.length + patch.remove.length > 0;
  return (
    <Card title={t('service.access')}>
      <p className="oh-muted">{t('access.what')}</p>
      {can('instanceUpdate') ? (
        <>
          {moved && <Notice state="warning">{t('form.changedElsewhere')}</Notice>}
          <AccessEditor entries={entries} onChange={(to) => setDraft({ from: draft?.from ?? saved, to })} />
          {change.error && <Problem problem={change.error} />}
          {changed && (
            <div className="oh-form-actions">
              <Button onClick={() => setDraft(null)}>{t('form.discard')}</Button>
              <Button kind="primary" busy={change.isPending} onClick={() => change.mutate({ path: { serviceId: s.id! }, body: { ipAccessList: patch } })}>
                {t('form.save')}
              </Button>
            </div>
          )}
        </>
      ) : (
        <ul className="oh-lines">
          {saved.map((e) => (
            <li key={e.source}>
              <code>{e.source}</code> <span className="oh-muted">{e.description === 'anywhere' ? t('access.anywhere') : e.description}</span>
            </li>
          ))}
          {saved.length === 0 && <li className="oh-muted">{t('access.nobody')}</li>}
        </ul>
      )}
    </Card>
  );
}
