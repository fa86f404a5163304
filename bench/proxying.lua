-- What wrk asks, and what it says of it: one line of JSON.
--   wrk … -s proxying.lua URL -- BODY_BYTES WAIT_MS
-- BODY_BYTES above 0 makes each request a POST of so many.  WAIT_MS above 0 lets each
-- connection wait for a random time (exponential, with that mean) between two requests: many
-- connections then ask at a steady rate, each independent of the others.

function init(args)
  local body_bytes, wait_ms = tonumber(args[1]), tonumber(args[2])
  if body_bytes > 0 then
    wrk.method = "POST"
    wrk.body = string.rep("x", body_bytes)
    wrk.headers["Content-Type"] = "application/octet-stream"
  end
  if wait_ms > 0 then
    math.randomseed(1)
    function delay()
      return math.floor(-wait_ms * math.log(1 - math.random()) + 0.5)
    end
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nJSON {"requests": %d, "duration_us": %d, "bytes": %d, "p50_us": %d, "p95_us": %d, ' ..
    '"p99_us": %d, "p999_us": %d, "failed": %d, "refused": %d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50),
    latency:percentile(95), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.timeout, e.status))
end
