// What was done to a service, by whom.
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useWords } from '../i18n';
import { Empty } from '../ui/basics';
import { Loaded } from '../ui/errors';
import { ActivityList } from './ActivityList';

export function ServiceHistory({ service: s }: { service: Schemas['Service'] }) {
  const { t } = useWords();
  const query = useApi('activityGetList');
  return (
    <Loaded query={query}>
      {(all) => {
        const own = (all as Schemas['Activity'][]).filter((a) => a.serviceId === s.id);
        return <ActivityList activities={own} empty={<Empty title={t('activities.empty')}>{t('history.empty.do')}</Empty>} />;
      }}
    </Loaded>
  );
}
