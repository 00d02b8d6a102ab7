// Small parts that every screen is made of, on click-ui's components and colours.
import { Badge, type BadgeState } from '@clickhouse/click-ui/Badge';
import { Button as ClickButton } from '@clickhouse/click-ui/Button';
import { Switch } from '@clickhouse/click-ui/Switch';
import { useId, type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes } from 'react';
import { Icon, type IconName } from './Icon';
import { useWords } from '../i18n';

export { Badge, Switch };
export type { BadgeState };

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'type'> {
  kind?: 'primary' | 'secondary' | 'empty' | 'danger';
  icon?: IconName;
  busy?: boolean;
  submit?: boolean;
}

export function Button({ kind = 'secondary', icon, busy, submit, children, ...rest }: ButtonProps) {
  return (
    <ClickButton type={kind} htmlType={submit ? 'submit' : 'button'} loading={busy} {...rest}>
      {icon && <Icon name={icon} size="sm" />}
      {children}
    </ClickButton>
  );
}

/** A button that is only an icon; its label is read out and shown as a hint. */
export function IconButton({ icon, label, ...rest }: { icon: IconName; label: string } & ButtonHTMLAttributes<HTMLButtonElement>) {
  return (
    <button type="button" className="oh-icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} size={icon === 'cross' || icon === 'burger-menu' ? 'lg' : 'sm'} />
    </button>
  );
}

interface FieldProps {
  label: string;
  hint?: ReactNode;
  error?: string | false;
  optional?: boolean;
  children: (attributes: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: boolean }) => ReactNode;
}

/** Label, control, hint and error, tied together for screen readers. */
export function Field({ label, hint, error, optional, children }: FieldProps) {
  const id = useId();
  const { t } = useWords();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div className="oh-field">
      <label htmlFor={id}>
        {label}
        {optional && <span className="oh-muted"> {t('form.optional')}</span>}
      </label>
      {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': error ? true : undefined })}
      {hint && (
        <div className="oh-hint" id={`${id}-hint`}>
          {hint}
        </div>
      )}
      {error && (
        <div className="oh-field-error" id={`${id}-error`} role="alert">
          {error}
        </div>
      )}
    </div>
  );
}

type TextProps = Omit<FieldProps, 'children'> &
  Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange' | 'value'> & { value: string; onChange: (value: string) => void };

export function TextInput({ label, hint, error, optional, value, onChange, ...rest }: TextProps) {
  return (
    <Field label={label} hint={hint} error={error} optional={optional}>
      {(a) => <input className="oh-input" {...a} {...rest} value={value} onChange={(e) => onChange(e.target.value)} />}
    </Field>
  );
}

export function TextArea({
  label,
  hint,
  error,
  optional,
  value,
  onChange,
  ...rest
}: Omit<FieldProps, 'children'> & Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, 'onChange' | 'value'> & { value: string; onChange: (value: string) => void }) {
  return (
    <Field label={label} hint={hint} error={error} optional={optional}>
      {(a) => <textarea className="oh-input oh-textarea" {...a} {...rest} value={value} onChange={(e) => onChange(e.target.value)} />}
    </Field>
  );
}

export function Select({
  label,
  hint,
  error,
  optional,
  value,
  onChange,
  options,
  ...rest
}: Omit<FieldProps, 'children'> &
  Omit<SelectHTMLAttributes<HTMLSelectElement>, 'onChange' | 'value'> & {
    value: string;
    onChange: (value: string) => void;
    options: { value: string; label: string; disabled?: boolean }[];
  }) {
  return (
    <Field label={label} hint={hint} error={error} optional={optional}>
      {(a) => (
        <select className="oh-input oh-select" {...a} {...rest} value={value} onChange={(e) => onChange(e.target.value)}>
          {options.map((o) => (
            <option key={o.value} value={o.value} disabled={o.disabled}>
              {o.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function Check({ label, checked, onChange, disabled, hint }: { label: ReactNode; checked: boolean; onChange: (on: boolean) => void; disabled?: boolean; hint?: string }) {
  const id = useId();
  return (
    <div className="oh-check">
      <input id={id} type="checkbox" checked={checked} disabled={disabled} onChange={(e) => onChange(e.target.checked)} aria-describedby={hint ? `${id}-h` : undefined} />
      <label htmlFor={id}>{label}</label>
      {hint && (
        <div id={`${id}-h`} className="oh-hint">
          {hint}
        </div>
      )}
    </div>
  );
}

/** One of a few, shown side by side. */
export function Choice<V extends string>({ label, value, onChange, options }: { label: string; value: V; onChange: (value: V) => void; options: { value: V; label: string; hint?: string }[] }) {
  const name = useId();
  return (
    <fieldset className="oh-choice">
      <legend>{label}</legend>
      {options.map((o) => (
        <label key={o.value} className={o.value === value ? 'is-chosen' : ''}>
          <input type="radio" name={name} checked={o.value === value} onChange={() => onChange(o.value)} />
          <span>
            {o.label}
            {o.hint && <span className="oh-hint">{o.hint}</span>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

export function Notice({ state = 'info', title, children, action }: { state?: 'info' | 'warning' | 'danger' | 'success'; title?: string; children?: ReactNode; action?: ReactNode }) {
  const icon: IconName = state === 'success' ? 'check-in-circle' : state === 'info' ? 'information' : 'warning';
  return (
    <div className={`oh-notice is-${state}`} role={state === 'danger' ? 'alert' : 'status'}>
      <Icon name={icon} size="md" />
      <div className="oh-notice-text">
        {title && <strong>{title}</strong>}
        {children && <div>{children}</div>}
      </div>
      {action}
    </div>
  );
}

export function Card({ title, actions, children, level = 2, className = '' }: { title?: ReactNode; actions?: ReactNode; children: ReactNode; level?: 2 | 3; className?: string }) {
  const Heading = `h${level}` as 'h2' | 'h3';
  return (
    <section className={`oh-card ${className}`}>
      {(title || actions) && (
        <header className="oh-card-head">
          {title && <Heading>{title}</Heading>}
          {actions && <div className="oh-actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

/** Names and values. */
export function Facts({ items }: { items: ([string, ReactNode] | null | false | undefined)[] }) {
  return (
    <dl className="oh-facts">
      {items.flatMap((item) =>
        item
          ? [
              <div key={item[0]}>
                <dt>{item[0]}</dt>
                <dd>{item[1] === '' || item[1] === null || item[1] === undefined ? '–' : item[1]}</dd>
              </div>,
            ]
          : [],
      )}
    </dl>
  );
}

export function Skeleton({ lines = 4 }: { lines?: number }) {
  const { t } = useWords();
  return (
    <div className="oh-skeleton" role="status" aria-label={t('state.loading')}>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} className={i % 3 === 2 ? 'is-short' : ''} />
      ))}
    </div>
  );
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="oh-empty">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

/** `exact`: to the second, for records. */
export function Time({ value, relative = false, exact = false }: { value: string | null | undefined; relative?: boolean; exact?: boolean }) {
  const { date, ago } = useWords();
  if (!value) return <>–</>;
  const full = date(value, exact ? { dateStyle: 'medium', timeStyle: 'medium' } : undefined);
  return (
    <time dateTime={value} title={full}>
      {relative ? ago(value) : full}
    </time>
  );
}
