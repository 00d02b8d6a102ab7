// Where backups of a service go when not into the account's own bucket.
import { useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { bucketBody, bucketFields, type Bucket, type BucketProvider } from '../lib/buckets';
import { Button, Card, Choice, Empty, Facts, TextInput } from '../ui/basics';
import { Confirm, Dialog } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { announce } from '../ui/toast';

export function BackupBucket({ service: s }: { service: Schemas['Service'] }) {
  const { t, word } = useWords();
  const { can } = useSession();
  const path = { serviceId: s.id! };
  const query = useApi('backupBucketGet', { path });
  const [dialog, setDialog] = useState<'' | 'edit' | 'remove'>('');
  const remove = useChange('backupBucketDelete', () => {
    setDialog('');
    announce(t('bucket.removed'));
  });
  const none = query.error?.status === 404;
  const bucket = none ? null : ((query.data as Bucket | undefined) ?? null);
  const may = can('backupBucketCreate');
  const edit = may && (
    <Button icon={bucket ? undefined : 'plus'} onClick={() => setDialog('edit')}>
      {t(bucket ? 'action.edit' : 'bucket.add')}
    </Button>
  );
  return (
    <Card
      title={t('bucket.title')}
      actions={
        bucket && (
          <>
            {edit}
            {can('backupBucketDelete') && <Button onClick={() => setDialog('remove')}>{t('bucket.remove')}</Button>}
          </>
        )
      }
    >
      {none ? (
        <Empty title={t('bucket.none')} action={edit}>
          {t(may ? 'bucket.none.do' : 'bucket.none.mayNot')}
        </Empty>
      ) : (
        <Loaded query={query}>
          {(b) => (
            <Facts
              items={[
                [t('bucket.provider'), word('bucket.provider', (b as Bucket).bucketProvider)],
                ...bucketFields[(b as Bucket).bucketProvider].filter((f) => !f.secret).map((f): [string, string] => [t(`bucket.${f.name}` as never), String((b as Record<string, unknown>)[f.name] ?? '')]),
              ]}
            />
          )}
        </Loaded>
      )}
      {dialog === 'edit' && <Edit service={s} before={bucket} onClose={() => setDialog('')} />}
      {dialog === 'remove' && (
        <Confirm title={t('bucket.remove.title')} act={t('bucket.remove')} danger busy={remove.isPending} problem={remove.error} onClose={() => setDialog('')} onConfirm={() => remove.mutate({ path })}>
          <p>{t('bucket.remove.what')}</p>
        </Confirm>
      )}
    </Card>
  );
}

function Edit({ service: s, before, onClose }: { service: Schemas['Service']; before: Bucket | null; onClose: () => void }) {
  const { t, word } = useWords();
  const [provider, setProvider] = useState<BucketProvider>(before?.bucketProvider ?? 'AWS');
  const [values, setValues] = useState<Record<string, string>>(() => Object.fromEntries(Object.entries(before ?? {}).filter((e): e is [string, string] => typeof e[1] === 'string')));
  const [errors, setErrors] = useState<string[]>([]);
  const done = () => {
    announce(t('form.saved'));
    onClose();
  };
  const create = useChange('backupBucketCreate', done);
  const update = useChange('backupBucketUpdate', done);
  const problem = create.error ?? update.error;
  return (
    <Dialog title={t('bucket.title')} onClose={onClose}>
      <form
        className="oh-form"
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          const { body, missing } = bucketBody(provider, values);
          setErrors(missing);
          if (missing.length) return;
          const input = { path: { serviceId: s.id! }, body: body as never };
          if (before) update.mutate(input);
          else create.mutate(input);
        }}
      >
        {!before && <Choice label={t('bucket.provider')} value={provider} onChange={setProvider} options={(['AWS', 'GCP', 'AZURE'] as const).map((value) => ({ value, label: word('bucket.provider', value) }))} />}
        {bucketFields[provider].map((f) => (
          <TextInput
            key={f.name}
            label={t(`bucket.${f.name}` as never)}
            hint={f.secret ? t('bucket.secret') : f.example}
            error={errors.includes(f.name) ? t('bucket.needed') : undefined}
            optional={f.optional}
            type={f.secret ? 'password' : 'text'}
            autoComplete={f.secret ? 'new-password' : 'off'}
            value={values[f.name] ?? ''}
            onChange={(v) => setValues({ ...values, [f.name]: v })}
            spellCheck={false}
            maxLength={f.name === 'connectionString' ? 4096 : 1024}
          />
        ))}
        {problem && <Problem problem={problem} />}
        <div className="oh-form-actions">
          <Button onClick={onClose}>{t('action.cancel')}</Button>
          <Button submit kind="primary" busy={create.isPending || update.isPending}>
            {t('form.save')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
