// A service's own backup bucket: what each cloud needs, as the API takes it.
import type { Schemas } from '../api/client';

export type Bucket = Schemas['BackupBucket'];
export type BucketProvider = 'AWS' | 'GCP' | 'AZURE';

export interface BucketField {
  name: string;
  secret?: boolean;
  optional?: boolean;
  example?: string;
}

export const bucketFields: Record<BucketProvider, BucketField[]> = {
  AWS: [
    { name: 'bucketPath', example: 'https://bucket.s3.us-east-1.amazonaws.com/path' },
    { name: 'iamRoleArn', example: 'arn:aws:iam::123456789012:role/backups' },
    { name: 'iamRoleSessionName', optional: true },
  ],
  GCP: [{ name: 'bucketPath', example: 'https://storage.googleapis.com/bucket/path' }, { name: 'accessKeyId' }, { name: 'secretAccessKey', secret: true }],
  AZURE: [{ name: 'containerName' }, { name: 'connectionString', secret: true }],
};

/** The request's body, and the fields that are still needed. What is empty and optional is left out. */
export function bucketBody(provider: BucketProvider, values: Record<string, string>): { body: Record<string, string>; missing: string[] } {
  const body: Record<string, string> = { bucketProvider: provider };
  const missing: string[] = [];
  for (const f of bucketFields[provider]) {
    const value = (values[f.name] ?? '').trim();
    if (value) body[f.name] = value;
    else if (!f.optional) missing.push(f.name);
  }
  return { body, missing };
}
