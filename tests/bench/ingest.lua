-- Bodies of 10,000 sensors, encoded beforehand; the token is the first argument.
local bodies, headers, n = {}, {}, 0

function init(arguments)
  headers["Content-Type"] = "application/json"
  headers["Authorization"] = "Bearer " .. arguments[1]
  if arguments[2] == "close" then headers["Connection"] = "close" end
  for i = 0, 9999 do
    local body = string.format('{"mac_address":"02:00:00:00:%02x:%02x"}', i / 256, i % 256)
    bodies[i] = wrk.format("POST", "/heartbeat", headers, body)
  end
end

function request()
  n = (n + 1) % 10000
  return bodies[n]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %.0f\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99)))
end
