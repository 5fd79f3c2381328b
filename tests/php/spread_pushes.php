<?php
// Binds clients to uids, says "bound", waits for a line, and pushes as often as asked to one uid after another.
//
//   php spread_pushes.php HOST:PORT COUNT SECRET < "CLIENT_ID UID" lines, an empty line, later another
//
// With the extension, or with GatewayClient where the variable CLIENT names the file that finds its classes.

use GatewayClient\Gateway;

if (getenv('CLIENT')) {
    require getenv('CLIENT');
    Gateway::$persistentConnection = true;
}
[, Gateway::$registerAddress, $count, Gateway::$secretKey] = $argv;

$uids = [];
while (($line = trim(fgets(STDIN))) !== '') {
    [$clientId, $uid] = explode(' ', $line);
    Gateway::bindUid($clientId, $uid);
    $uids[] = $uid;
}
// Answered when all before it has been done.
Gateway::isUidOnline($uids[0]);
echo "bound\n";
fgets(STDIN);
$message = str_repeat('x', 64);
for ($number = 0; $number < $count; $number++) {
    // A step that visits all, and seldom neighbours one after the other.
    Gateway::sendToUid($uids[$number * 7919 % count($uids)], $message);
}
echo "sent\n";
// Until all has come.
fgets(STDIN);
