/** What a token must and may claim (docs/PROTOCOL.md, 4). Signatures and expiry are src/auth/authenticator.ts's business. */
import { z } from 'zod';
import { orgSchema, userSchema } from './envelope.ts';

/** A service name, matched whole, or a prefix that ends in `*` (`chat/*`). */
export const servicePatternSchema = z.string().regex(/^(\*|[a-z0-9][a-z0-9._/-]{0,63}\*?)$/);

export const roleSchema = z.enum(['producer', 'viewer', 'operator', 'admin']);
export type Role = z.infer<typeof roleSchema>;

export const claimsSchema = z.object({
  sub: userSchema,
  org: orgSchema,
  exp: z.number(),
  services: z.array(servicePatternSchema).optional().meta({ description: 'what it may read; absent: all' }),
  publish: z
    .array(servicePatternSchema)
    .optional()
    .meta({ description: 'what it may publish to; absent: none' }),
  roles: z.array(z.string()).optional(),
  orgs: z
    .array(z.union([orgSchema, z.literal('*')]))
    .optional()
    .meta({ description: 'orgs that a producer may publish for' }),
});
export type Claims = z.infer<typeof claimsSchema>;
