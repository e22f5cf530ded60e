# The gateway as an image. It listens on every interface, so it needs a key for tokens at start: TURNOUT_JWT_SECRET,
# TURNOUT_JWT_PUBLIC_KEY or TURNOUT_JWKS_URL.
FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:20-bookworm-slim
ENV NODE_ENV=production
ENV TURNOUT_HOST=0.0.0.0
WORKDIR /app
# What was built and what it needs to run: no sources.
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.TURNOUT_PORT || 4000) + '/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Node itself is process 1, so that SIGTERM reaches it and drains.
STOPSIGNAL SIGTERM
CMD ["node", "dist/src/main.js"]
