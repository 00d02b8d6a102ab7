// Where a thing is in its life, in a colour and a word.
import { useWords } from '../i18n';
import { Badge, type BadgeState } from '../ui/basics';

const states: Record<string, BadgeState> = {
  running: 'success',
  idle: 'info',
  stopped: 'neutral',
  failed: 'danger',
  degraded: 'warning',
  partially_running: 'warning',
  terminated: 'neutral',
  'infra-ready': 'success',
  'infra-provisioning': 'info',
  'infra-terminated': 'neutral',
  proposed: 'warning',
  approved: 'info',
  applying: 'info',
  applied: 'success',
  superseded: 'neutral',
  waiting: 'warning',
  requested: 'warning',
  allowed: 'success',
  refused: 'danger',
  revoked: 'neutral',
  ended: 'neutral',
  expired: 'neutral',
  discarded: 'neutral',
  connected: 'success',
  disconnected: 'danger',
  enabled: 'success',
  disabled: 'neutral',
  done: 'success',
  error: 'danger',
};

export const MOVING = new Set(['starting', 'stopping', 'terminating', 'softdeleting', 'awaking', 'provisioning', 'applying', 'approved']);

export function State({ value }: { value: string }) {
  const { word } = useWords();
  return <Badge text={word('state', value)} state={states[value] ?? 'info'} className={`oh-badge ${MOVING.has(value) ? 'is-moving' : ''}`} data-state={value} />;
}
