// Dialogs: the browser's own element, which keeps focus inside and gives it back.
import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import { useWords } from '../i18n';
import { Button, IconButton, TextInput } from './basics';
import { Problem } from './errors';

export function Dialog({ title, onClose, children, wide, footer }: { title: string; onClose: () => void; children: ReactNode; wide?: boolean; footer?: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  const { t } = useWords();
  useEffect(() => {
    const dialog = ref.current!;
    const before = document.activeElement as HTMLElement | null;
    if (!dialog.open) dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      className={`oh-dialog ${wide ? 'is-wide' : ''}`}
      aria-labelledby={id}
      onCancel={(e) => {
        e.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2 id={id}>{title}</h2>
        <IconButton icon="cross" label={t('action.close')} onClick={onClose} />
      </header>
      <div className="oh-dialog-body">{children}</div>
      {footer && <footer>{footer}</footer>}
    </dialog>
  );
}

/** Asks once more; with `typed` that text must be typed first. */
export function Confirm({
  title,
  children,
  act,
  typed,
  danger,
  busy,
  problem,
  onConfirm,
  onClose,
}: {
  title: string;
  children?: ReactNode;
  act: string;
  typed?: string;
  danger?: boolean;
  busy?: boolean;
  problem?: unknown;
  onConfirm: () => void;
  onClose: () => void;
}) {
  const { t } = useWords();
  const [text, setText] = useState('');
  const ready = !typed || text === typed;
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="oh-form"
        onSubmit={(e) => {
          e.preventDefault();
          if (ready) onConfirm();
        }}
      >
        {children}
        {typed && (
          <TextInput
            label={t('confirm.type', { name: typed })}
            value={text}
            onChange={setText}
            autoComplete="off"
            spellCheck={false}
            autoFocus
          />
        )}
        {problem ? <Problem problem={problem} /> : null}
        <div className="oh-form-actions">
          <Button onClick={onClose}>{t('action.cancel')}</Button>
          <Button submit kind={danger ? 'danger' : 'primary'} disabled={!ready} busy={busy}>
            {act}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
