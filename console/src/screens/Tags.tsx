// Labels, typed as key or key=value.
import { useState } from 'react';
import { useWords } from '../i18n';
import { parseTag, type Tag } from '../lib/patches';
import { Button, IconButton, TextInput } from '../ui/basics';

export function TagEditor({ tags, onChange }: { tags: Tag[]; onChange: (tags: Tag[]) => void }) {
  const { t } = useWords();
  const [text, setText] = useState('');
  const [error, setError] = useState('');
  function submit() {
    const tag = parseTag(text);
    if (!tag) {
      setError(t('tags.wrong'));
      return;
    }
    onChange([...tags.filter((x) => x.key !== tag.key), tag]);
    setText('');
    setError('');
  }
  return (
    <div className="oh-stack">
      {tags.length > 0 && (
        <ul className="oh-tags">
          {tags.map((x) => (
            <li key={x.key} className="oh-tag">
              {x.value ? `${x.key}=${x.value}` : x.key}
              <IconButton icon="cross" label={t('tags.remove', { tag: x.key })} onClick={() => onChange(tags.filter((y) => y !== x))} />
            </li>
          ))}
        </ul>
      )}
      <div className="oh-inline">
        <TextInput
          label={t('tags.new')}
          hint={t('tags.hint')}
          error={error}
          optional
          value={text}
          onChange={setText}
          onKeyDown={(e) => {
            if (e.key === 'Enter') {
              e.preventDefault();
              submit();
            }
          }}
        />
        <Button icon="plus" onClick={submit}>
          {t('tags.add')}
        </Button>
      </div>
    </div>
  );
}
