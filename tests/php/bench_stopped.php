<?php
// Times sends while the server stands still: php bench_stopped.php REGISTER CALLS. Says "up" once it is connected, waits
// for a line, prints nanoseconds of the median and the 99th percentile as JSON, waits for another line.

use GatewayClient\Gateway;

[, Gateway::$registerAddress, $calls] = $argv;
Gateway::isUidOnline('bench');
echo "up\n";
fgets(STDIN);
$times = [];
$message = str_repeat('x', 64);
for ($i = 0; $i < $calls; $i++) {
    $before = hrtime(true);
    Gateway::sendToUid('bench', $message);
    $times[] = hrtime(true) - $before;
}
sort($times);
$at = static fn (float $share): int => $times[(int) ($share * (count($times) - 1))];
echo json_encode(['p50' => $at(0.5), 'p99' => $at(0.99), 'max' => end($times)]), "\n";
fgets(STDIN);
