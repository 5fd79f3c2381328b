<?php
// Calls methods of the class as its input says, one JSON array a line, `[method, arguments…]`, and prints one JSON object
// a line: what was returned or thrown, and the warnings on the way.
//
//   php calls.php REGISTER [SECRET]

use GatewayClient\Gateway;

Gateway::$registerAddress = $argv[1];
Gateway::$secretKey = $argv[2] ?? '';

$warnings = [];
set_error_handler(static function (int $level, string $message) use (&$warnings): bool {
    $warnings[] = $message;

    return true;
});

/** Each child sends, and asks, over a link of its own. */
function forks(int $children, string $message): array
{
    $pids = [];
    for ($child = 0; $child < $children; $child++) {
        $pid = pcntl_fork();
        if ($pid === 0) {
            Gateway::sendToAll("$message $child");
            exit(Gateway::getAllClientIdCount() > 0 ? 0 : 1);
        }
        $pids[] = $pid;
    }
    return array_map(static function (int $pid): int {
        pcntl_waitpid($pid, $status);

        return pcntl_wexitstatus($status);
    }, $pids);
}

while (($line = fgets(STDIN)) !== false) {
    $arguments = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    $method = array_shift($arguments);
    $warnings = [];
    $begun = microtime(true);
    try {
        $answer = ['result' => $method === 'forks' ? forks(...$arguments) : Gateway::$method(...$arguments)];
    } catch (GatewayException $e) {
        $answer = ['thrown' => $e->getMessage()];
    }
    echo json_encode($answer + ['warnings' => $warnings, 'seconds' => microtime(true) - $begun]), "\n";
}
