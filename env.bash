# Source this for a shell in which the workspace runs: `. env.bash`. (Written for bash; does nothing to a native ROS 2 shell but overlay it.)
_soft_flow_root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$_soft_flow_root/.venv/bin/activate"
export AMENT_PREFIX_PATH="$VIRTUAL_ENV${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
export CMAKE_PREFIX_PATH="$VIRTUAL_ENV${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
[ -f "$_soft_flow_root/install/setup.bash" ] && . "$_soft_flow_root/install/setup.bash"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
unset _soft_flow_root
