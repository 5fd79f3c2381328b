<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** Something that whoever started the program has to put right. */
final class UsageError extends \RuntimeException
{
}
