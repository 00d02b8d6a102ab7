// Choosing a password for oneself.
import { useWords } from '../i18n';
import { TextInput } from '../ui/basics';

export const PASSWORD_MIN = 12;

export function passwordError(password: string, again: string): 'short' | 'differ' | null {
  if ([...password].length < PASSWORD_MIN) return 'short';
  return password === again ? null : 'differ';
}

export function NewPassword({ password, again, onChange, tried }: { password: string; again: string; onChange: (password: string, again: string) => void; tried: boolean }) {
  const { t } = useWords();
  const error = tried ? passwordError(password, again) : null;
  return (
    <>
      <TextInput
        label={t('password.new')}
        hint={t('password.rule', { n: PASSWORD_MIN })}
        error={error === 'short' && t('password.short', { n: PASSWORD_MIN })}
        type="password"
        autoComplete="new-password"
        value={password}
        onChange={(v) => onChange(v, again)}
        required
      />
      <TextInput
        label={t('password.again')}
        error={error === 'differ' && t('password.differ')}
        type="password"
        autoComplete="new-password"
        value={again}
        onChange={(v) => onChange(password, v)}
        required
      />
    </>
  );
}
