<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** A mistake on the command line or in the environment, which the user who started the program has to correct. */
final class UsageError extends \RuntimeException
{
}
